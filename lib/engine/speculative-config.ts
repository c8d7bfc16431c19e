import { checkInteger, checkOptions, describe, outOfRange, wrongType } from '../check.js'
import { EngineError } from '../errors.js'
import type { Plan } from '../plan/ops.js'
import { LONGEST_RUN } from '../scheduling/ngram-index.js'
import type { SpeculationOptions } from '../scheduling/speculation.js'

/**
 * Speculative decoding: sequences draft tokens, and a step verifies several of them (docs/speculative-decoding.md).
 *
 * @example
 * await LLMEngine.load(model, { speculativeConfig: { method: 'ngram', numSpeculativeTokens: 6 } })
 */
export interface SpeculativeOptions {
  /** ngram: what stood behind the last tokens where they stood before, in prompt or output. */
  method: 'ngram'
  /** Tokens that a sequence drafts at most. Default 4. */
  numSpeculativeTokens?: number
  /** The fewest last tokens that are looked up. Default 2, or promptLookupMax where that is less. */
  promptLookupMin?: number
  /** The most last tokens that are looked up. Default 4, or promptLookupMin where that is more. */
  promptLookupMax?: number
}

/** The same, checked and with every default filled in. */
export interface SpeculativeConfig extends SpeculationOptions {
  readonly method: 'ngram'
}

const NAMES: Record<keyof SpeculativeOptions, true> = {
  method: true,
  numSpeculativeTokens: true,
  promptLookupMin: true,
  promptLookupMax: true,
}
const KNOWN: ReadonlySet<string> = new Set(Object.keys(NAMES))

/** Checks the option `speculativeConfig`; null: nothing is drafted. */
export function checkSpeculativeConfig(value: unknown): SpeculativeConfig | null {
  if (value === undefined || value === null) return null
  if (typeof value !== 'object') throw wrongType('speculativeConfig', 'an object', value)
  const raw = checkOptions(value, 'speculativeConfig option', KNOWN)
  checkMethod(raw.method)
  const integer = (name: keyof SpeculativeOptions, fallback: number, max: number) =>
    raw[name] === undefined
      ? fallback
      : checkInteger(`speculativeConfig.${name}`, raw[name], { min: 1, max })
  const numSpeculativeTokens = integer('numSpeculativeTokens', 4, 64)
  const most = integer('promptLookupMax', 4, LONGEST_RUN)
  const promptLookupMin = integer('promptLookupMin', Math.min(2, most), LONGEST_RUN)
  const promptLookupMax = raw.promptLookupMax === undefined ? Math.max(most, promptLookupMin) : most
  if (promptLookupMin > promptLookupMax)
    throw outOfRange(
      'speculativeConfig.promptLookupMin',
      `at most promptLookupMax, which is ${promptLookupMax}`,
      promptLookupMin,
    )
  return Object.freeze({ method: 'ngram', numSpeculativeTokens, promptLookupMin, promptLookupMax })
}

function checkMethod(method: unknown): void {
  if (method === 'ngram') return
  if (typeof method !== 'string') throw wrongType('speculativeConfig.method', "'ngram'", method)
  throw new EngineError(
    'not_supported',
    `speculativeConfig.method: expected 'ngram', found ${describe(method)}, which this version does not support`,
  )
}

/** Throws `not_supported` for a model whose cache cannot take drafts back. */
export function checkSpeculates({ caches }: Plan, config: SpeculativeConfig | null): void {
  if (config === null || caches.every(({ kind }) => kind !== 'state')) return
  throw new EngineError(
    'not_supported',
    'speculativeConfig is not supported with this model: some of its layers keep one state a sequence, ' +
      'which each token overwrites, so that no draft can be taken back',
  )
}
