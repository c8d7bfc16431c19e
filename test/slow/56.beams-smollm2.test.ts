import { afterAll, describe, expect, test } from 'vitest'
import { LLMEngine } from '../../lib/index.js'
import { EXACT, readFixture, SMOLLM2 } from '../support/models.js'

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
