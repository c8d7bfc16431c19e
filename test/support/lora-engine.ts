// The models of test/fixtures/lora in an engine, and what they give.
import { join } from 'node:path'
import { expect } from 'vitest'
import { LLMEngine, type EngineOptions, type LoraRequest, type Prompt } from '../../lib/index.js'
import { EXACT, FIXTURES, readFixture } from './models.js'

/** What transformers with peft gives: of the base model, and with each adapter. */
interface LoraReference {
  readonly next_logits: readonly string[]
  readonly greedy: readonly (readonly number[])[]
}
export const NAMES = ['qv-r4', 'all-r8', 'mlp-r16-rslora'] as const
export const reference = readFixture('lora/reference.json') as Record<string, LoraReference> & {
  readonly prompts: readonly (readonly number[])[]
}
export const BASE = join(FIXTURES, 'lora/base')
const OPTIONS: EngineOptions = { ...EXACT, skipTokenizerInit: true, enableLora: true }
export const GREEDY = { maxTokens: 24, temperature: 0, ignoreEos: true }

export const load = (options: EngineOptions = {}) =>
  LLMEngine.load(BASE, { ...OPTIONS, ...options })
export const lora = (name: string): LoraRequest => ({
  loraName: name,
  loraPath: join(FIXTURES, 'lora', name),
})

/** Every prompt with no adapter and with each. */
export const MIXED = reference.prompts.flatMap((promptTokenIds, i) => [
  { prompt: { promptTokenIds }, wanted: reference.base!.greedy[i]! },
  ...NAMES.map((name) => ({
    prompt: { promptTokenIds, loraRequest: lora(name) },
    wanted: reference[name]!.greedy[i]!,
  })),
])

export async function expectMixed(engine: LLMEngine, prompts = MIXED) {
  const outputs = await engine.generate(
    prompts.map(({ prompt }): Prompt => prompt),
    GREEDY,
  )
  for (const [i, { outputs: found }] of outputs.entries())
    expect(found[0]!.tokenIds, `prompt ${i}`).toEqual(prompts[i]!.wanted)
  engine.checkIntegrity()
}
