import { afterAll, describe, expect, test } from 'vitest'
import { LLMEngine, type SamplingOptions } from '../../lib/index.js'
import { EXACT, greedyCases, readFixture, SMOLLM2 } from '../support/models.js'

interface BeamCase {
  readonly prompt: string
  readonly promptIds: readonly number[]
  readonly width: number
  readonly maxTokens: number
  readonly lengthPenalty: number
  readonly sequences: readonly (readonly number[])[]
  readonly scores: readonly number[]
}

const { beams: cases } = readFixture('smollm2.json') as { beams: readonly BeamCase[] }

function paramsOf({ width, maxTokens, lengthPenalty }: BeamCase) {
  return { beamWidth: width, n: width, maxTokens, lengthPenalty }
}

describe.skipIf(SMOLLM2 === null)("Hugging Face's beams of SmolLM2-135M-Instruct", () => {
  const engine = SMOLLM2 === null ? null : LLMEngine.load(SMOLLM2, { ...EXACT, maxModelLen: 2048 })
  afterAll(async () => (await engine)?.close())

  test('sequences, and scores within 1e-3, each alone and all at once', async () => {
    const loaded = (await engine)!
    const alone = []
    for (const each of cases) alone.push(...(await loaded.generate(each.prompt, paramsOf(each))))
    for (const [i, { promptTokenIds, outputs }] of alone.entries()) {
      const { promptIds, sequences, scores } = cases[i]!
      expect(promptTokenIds).toEqual(promptIds)
      expect(outputs.map(({ tokenIds }) => tokenIds)).toEqual(sequences)
      outputs.forEach(({ score }, beam) => {
        expect(Math.abs(score! - scores[beam]!)).toBeLessThan(1e-3)
      })
    }
    const prompts = cases.map(({ prompt }) => prompt)
    const together = await loaded.generate(prompts, cases.map(paramsOf))
    expect(together.map(({ outputs }) => outputs)).toEqual(alone.map(({ outputs }) => outputs))
    loaded.checkIntegrity()
  })
})

describe.skipIf(SMOLLM2 === null)('greedy tokens of SmolLM2-135M-Instruct', () => {
  const cases = greedyCases('smollm2.json')
    .filter(({ promptIds }) => promptIds.length > 16 && promptIds.length < 200)
    .slice(0, 6)
  const prompts = cases.map(({ prompt }) => prompt)
  const params = cases.map(({ greedyIds }) => ({ maxTokens: greedyIds.length, temperature: 0 }))

  test('are the same where sequences fork, and where prompts are found in the cache', async () => {
    const engine = await LLMEngine.load(SMOLLM2!, { ...EXACT, maxModelLen: 2048 })
    const tokens = async (changes: SamplingOptions) =>
      (
        await engine.generate(
          prompts,
          params.map((each) => ({ ...each, ...changes })),
        )
      ).map(({ outputs }) => outputs.map(({ tokenIds }) => tokenIds))
    const alone = []
    for (const [i, prompt] of prompts.entries()) {
      const [output] = await engine.generate(prompt, params[i])
      alone.push(output!.outputs[0]!.tokenIds)
    }
    const hits = engine.stats().prefixCacheHits
    expect(await tokens({})).toEqual(alone.map((each) => [each]))
    expect(engine.stats().prefixCacheHits).toBeGreaterThan(hits)
    const forked = await tokens({ n: 2, temperature: 1, topK: 1 })
    expect(forked).toEqual(alone.map((each) => [each, each]))
    expect(engine.stats().copies).toBeGreaterThan(0)
    engine.checkIntegrity()
    await engine.close()
  })
})
