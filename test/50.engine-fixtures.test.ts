import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { expectLogprobs } from './support/expect-logprobs.js'
import { EXACT, FIXTURES, greedyCases, modelReference } from './support/models.js'

const NAMES = readdirSync(join(FIXTURES, 'models'))

describe.each(NAMES)('reference outputs of %s', (name) => {
  const reference = modelReference(name)
  let engine: LLMEngine
  beforeAll(async () => {
    const options = { ...EXACT, maxLogprobs: -1, skipTokenizerInit: true }
    engine = await LLMEngine.load(reference.folder, options)
  })
  afterAll(() => engine.close())

  test('log-probabilities at every position of a prompt', async () => {
    const prompt = reference.prompts.at(-1)!
    const vocab = reference.allLogits.length / prompt.length
    const [output] = await engine.generate(
      { promptTokenIds: prompt },
      { maxTokens: 1, promptLogprobs: -1, logprobs: -1, temperature: 0 },
    )
    expect(output!.promptLogprobs).toHaveLength(prompt.length)
    expect(output!.promptLogprobs![0]).toBeNull()
    const rows = [...output!.promptLogprobs!.slice(1), output!.outputs[0]!.logprobs![0]!]
    rows.forEach((row, position) => {
      const logits = reference.allLogits.subarray(position * vocab, (position + 1) * vocab)
      expectLogprobs(row!, logits)
    })
  })

  test('greedy tokens and the first logits after each prompt, all together', async () => {
    const outputs = await engine.generate(
      reference.prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 24, temperature: 0, logprobs: -1, ignoreEos: true },
    )
    outputs.forEach(({ outputs: [completion] }, i) => {
      expect(completion!.tokenIds).toEqual(reference.greedy[i])
      expectLogprobs(completion!.logprobs![0]!, reference.nextLogits[i]!)
    })
    engine.checkIntegrity()
  })

  test('the same through the prefix cache, each alone', async () => {
    await engine.generate(
      reference.prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 1 },
    )
    const computed = engine.stats().promptTokens
    for (const [i, promptTokenIds] of reference.prompts.entries()) {
      const [output] = await engine.generate(
        { promptTokenIds },
        { maxTokens: 24, temperature: 0, logprobs: -1, ignoreEos: true },
      )
      const [completion] = output!.outputs
      expect(completion!.tokenIds).toEqual(reference.greedy[i])
      expectLogprobs(completion!.logprobs![0]!, reference.nextLogits[i]!)
    }
    // Of 45 prompt tokens, 32 lie in full blocks that the requests before have left. Where layers keep
    // states nothing is found.
    expect(engine.stats().promptTokens - computed).toBe(name.startsWith('lfm2') ? 45 : 13)
    engine.checkIntegrity()
  })
})

describe('the demo model', () => {
  const cases = greedyCases('demo.json')
  let engine: LLMEngine
  beforeAll(async () => {
    engine = await LLMEngine.load('demo', EXACT)
  })
  afterAll(() => engine.close())

  test('tokenises the prompts as the reference does and continues them greedily', async () => {
    const outputs = await engine.generate(
      cases.map(({ prompt }) => prompt),
      cases.map(({ greedyIds }) => ({ maxTokens: greedyIds.length, temperature: 0 })),
    )
    outputs.forEach((output, i) => {
      const { promptIds, greedyIds, greedyText } = cases[i]!
      expect(output.promptTokenIds).toEqual(promptIds)
      expect(output.outputs[0]!.tokenIds).toEqual(greedyIds)
      expect(output.outputs[0]!.text).toBe(greedyText)
    })
    engine.checkIntegrity()
  })
})
