import { expect } from 'vitest'
import { LLMEngine, type RequestOutput } from '../../lib/index.js'
import { EXACT, modelReference } from './models.js'

/** What the CPU gives for a model's prompts in float32, which is the reference's tokens, with the five best of each. */
export async function referenceOutputs(name: string, maxTokens: number): Promise<RequestOutput[]> {
  const { folder, prompts, greedy } = modelReference(name)
  const options = { ...EXACT, device: 'cpu', dtype: 'float32', skipTokenizerInit: true } as const
  await using engine = await LLMEngine.load(folder, options)
  const outputs = await engine.generate(
    prompts.map((promptTokenIds) => ({ promptTokenIds })),
    { maxTokens, temperature: 0, logprobs: 5, ignoreEos: true },
  )
  expect(outputs.map(({ outputs: [completion] }) => completion!.tokenIds)).toEqual(
    greedy.map((ids) => ids.slice(0, maxTokens)),
  )
  return outputs
}

/** Where tokens first differ, each side's is among the other's five best. */
export function expectNearTies(found: readonly RequestOutput[], wanted: readonly RequestOutput[]) {
  expect(found).toHaveLength(wanted.length)
  found.forEach(({ outputs: [ours] }, i) => {
    const theirs = wanted[i]!.outputs[0]!
    const first = ours!.tokenIds.findIndex((id, t) => id !== theirs.tokenIds[t])
    if (first < 0) return
    expect([...ours!.logprobs![first]!.keys()]).toContain(theirs.tokenIds[first])
    expect([...theirs.logprobs![first]!.keys()]).toContain(ours!.tokenIds[first])
  })
}
