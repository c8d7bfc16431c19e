import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkNumber,
  checkOptions,
  checkText,
  outOfRange,
  refuseUnlanded,
  wrongType,
} from '../check.js'
import type { NumberRange, RawOptions } from '../check.js'
import type { SamplingOptions, SamplingParams } from '../sampling-params.js'
import { checkStructuredOutputs } from '../structured/spec.js'
import { checkBeams } from './beam-params.js'

/** What an engine allows its requests. */
export interface SamplingLimits {
  /** Token ids are below this. */
  readonly vocabSize: number
  /** The most log-probabilities a position, −1: no limit. */
  readonly maxLogprobs: number
  /** The most sequences that run at once: a request's `bestOf` must fit. */
  readonly maxNumSeqs: number
  /** False without a tokenizer: then texts such as `stop` cannot be used. */
  readonly hasTokenizer: boolean
  /** What options that say how to draw are where the request has none. */
  readonly defaults?: SamplingOptions
  /** `maxTokens` where the request has none; null: the rest of the context. */
  readonly defaultMaxTokens: number | null
}

const NAMES: Record<keyof SamplingOptions, true> = {
  n: true,
  bestOf: true,
  temperature: true,
  topP: true,
  topK: true,
  minP: true,
  presencePenalty: true,
  frequencyPenalty: true,
  repetitionPenalty: true,
  stop: true,
  stopTokenIds: true,
  includeStopStrInOutput: true,
  skipSpecialTokens: true,
  ignoreEos: true,
  beamWidth: true,
  lengthPenalty: true,
  earlyStopping: true,
  maxTokens: true,
  minTokens: true,
  logprobs: true,
  promptLogprobs: true,
  logitBias: true,
  allowedTokenIds: true,
  badWords: true,
  structuredOutputs: true,
  truncatePromptTokens: true,
  priority: true,
  seed: true,
}
const UNLANDED = ['logitsProcessor']
const KNOWN: ReadonlySet<string> = new Set([...Object.keys(NAMES), ...UNLANDED])

/** Below this a temperature means 0, as in vLLM: the logits divided by it would overflow. */
const GREEDY_BELOW = 1e-5

/**
 * Checks a request's sampling options and fills in the defaults.
 *
 * @throws TypeError for an unknown option or a value of the wrong type, RangeError for a value that
 * is not allowed; both name the option, what was expected and what was found. EngineError
 * `not_supported` for an option of a later version.
 * @example
 * resolveSamplingParams({ topP: 0.9 }, limits).temperature // 1
 */
export function resolveSamplingParams(
  options: SamplingOptions,
  limits: SamplingLimits,
): SamplingParams {
  const given = checkOptions(options, 'sampling option', KNOWN)
  refuseUnlanded(given, UNLANDED)
  const raw = withDefaults(given, limits.defaults ?? {})
  const beams = checkBeams(raw, limits)
  const params: SamplingParams = {
    ...checkDraws(raw, limits),
    ...beams,
    ...checkPenalties(raw),
    ...checkEnding(raw, limits),
    ...checkTokenRules(raw, limits),
    structuredOutputs: checkStructured(raw, limits),
    logprobs: checkLogprobs('logprobs', raw, limits),
    promptLogprobs: checkLogprobs('promptLogprobs', raw, limits),
    skipSpecialTokens: optional(raw, 'skipSpecialTokens', true, checkBoolean),
    truncatePromptTokens: optional(raw, 'truncatePromptTokens', null, checkTruncation),
    priority: optional(raw, 'priority', 0, checkInteger),
    seed: checkSeed(raw),
  }
  return Object.freeze(params)
}

/** A search draws nothing, so that no default of drawing may reach it. */
function withDefaults(given: RawOptions, defaults: SamplingOptions): RawOptions {
  if (given.beamWidth !== undefined) return given
  const values = Object.entries(given).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(values) }
}

function optional<T, D>(
  raw: RawOptions,
  name: keyof SamplingOptions,
  fallback: D,
  check: (name: string, value: unknown) => T,
): T | D {
  const value = raw[name]
  return value === undefined ? fallback : check(name, value)
}

function optionalNumber(
  raw: RawOptions,
  name: keyof SamplingOptions,
  fallback: number,
  range: NumberRange,
): number {
  return optional(raw, name, fallback, (_, value) => checkNumber(name, value, range))
}

function optionalInteger<D>(
  raw: RawOptions,
  name: keyof SamplingOptions,
  fallback: D,
  range: NumberRange,
): number | D {
  return optional(raw, name, fallback, (_, value) => checkInteger(name, value, range))
}

function checkDraws(raw: RawOptions, { maxNumSeqs, vocabSize }: SamplingLimits) {
  const n = optionalInteger(raw, 'n', 1, { min: 1 })
  const bestOf = optionalInteger(raw, 'bestOf', n, { min: 1 })
  if (bestOf < n) throw outOfRange('bestOf', `at least n, which is ${n}`, bestOf)
  const many = raw.bestOf === undefined ? 'n' : 'bestOf'
  if (bestOf > maxNumSeqs) {
    throw outOfRange(many, `at most maxNumSeqs, which is ${maxNumSeqs}`, bestOf)
  }
  const asked = optionalNumber(raw, 'temperature', 1, { min: 0 })
  const temperature = asked < GREEDY_BELOW ? 0 : asked
  if (temperature === 0 && bestOf > 1) {
    throw outOfRange(many, '1 when temperature is 0, as every draw would be the same', bestOf)
  }
  const topK = optionalInteger(raw, 'topK', 0, { min: -1 })
  return {
    n,
    bestOf,
    temperature,
    topP: optionalNumber(raw, 'topP', 1, { above: 0, max: 1 }),
    topK: Math.min(Math.max(topK, 0), vocabSize),
    minP: optionalNumber(raw, 'minP', 0, { min: 0, max: 1 }),
  }
}

function checkPenalties(raw: RawOptions) {
  return {
    presencePenalty: optionalNumber(raw, 'presencePenalty', 0, { min: -2, max: 2 }),
    frequencyPenalty: optionalNumber(raw, 'frequencyPenalty', 0, { min: -2, max: 2 }),
    repetitionPenalty: optionalNumber(raw, 'repetitionPenalty', 1, { above: 0 }),
  }
}

function checkEnding(raw: RawOptions, limits: SamplingLimits) {
  const maxTokens = optionalInteger(raw, 'maxTokens', limits.defaultMaxTokens, { min: 1 })
  const minTokens = optionalInteger(raw, 'minTokens', 0, { min: 0 })
  if (maxTokens !== null && minTokens > maxTokens) {
    throw outOfRange('minTokens', `at most maxTokens, which is ${maxTokens}`, minTokens)
  }
  return {
    maxTokens,
    minTokens,
    stop: checkStop(raw, limits),
    stopTokenIds: checkTokenIds('stopTokenIds', raw, limits) ?? [],
    includeStopStrInOutput: optional(raw, 'includeStopStrInOutput', false, checkBoolean),
    ignoreEos: optional(raw, 'ignoreEos', false, checkBoolean),
  }
}

function checkTokenRules(raw: RawOptions, limits: SamplingLimits) {
  const allowedTokenIds = checkTokenIds('allowedTokenIds', raw, limits)
  if (allowedTokenIds?.length === 0) {
    throw outOfRange('allowedTokenIds', 'at least one token id', raw.allowedTokenIds)
  }
  return {
    allowedTokenIds,
    logitBias: checkLogitBias(raw, limits),
    badWords: checkBadWords(raw, limits),
  }
}

/** A grammar says itself when an output is long enough, and ends it by an end token. */
function checkStructured(raw: RawOptions, { hasTokenizer }: SamplingLimits) {
  const spec = checkStructuredOutputs(raw.structuredOutputs)
  if (spec === null) return null
  if (!hasTokenizer) {
    throw outOfRange('structuredOutputs', 'none, as the engine has no tokenizer', spec.kind)
  }
  for (const name of ['ignoreEos', 'minTokens'] as const) {
    if (raw[name]) throw outOfRange(name, 'none with structuredOutputs', raw[name])
  }
  return spec
}

/** `stop` may also be a single text. */
function checkStop(raw: RawOptions, limits: SamplingLimits): readonly string[] {
  const value = raw.stop
  if (value === undefined) return []
  if (typeof value !== 'string' && !Array.isArray(value)) {
    throw wrongType('stop', 'a string or an array of strings', value)
  }
  const texts =
    typeof value === 'string' ? [checkText('stop', value)] : checkArray('stop', value, checkText)
  return checkTokenizer('stop', texts, limits)
}

function checkBadWords(raw: RawOptions, limits: SamplingLimits): readonly string[] {
  const words = optional(raw, 'badWords', [], (_, value) =>
    checkArray('badWords', value, (element, word) => {
      const text = checkText(element, word)
      if (text.trim() === '') throw outOfRange(element, 'a word that is not blank', word)
      return text
    }),
  )
  return checkTokenizer('badWords', words, limits)
}

function checkTokenizer(
  name: 'stop' | 'badWords',
  texts: readonly string[],
  { hasTokenizer }: SamplingLimits,
): readonly string[] {
  if (texts.length === 0 || hasTokenizer) return texts
  throw outOfRange(name, 'none, as the engine has no tokenizer (skipTokenizerInit)', texts)
}

function checkTokenIds(
  name: 'stopTokenIds' | 'allowedTokenIds',
  raw: RawOptions,
  { vocabSize }: SamplingLimits,
): readonly number[] | null {
  const range = { min: 0, max: vocabSize - 1 }
  return optional(raw, name, null, (_, value) =>
    checkArray(name, value, (element, id) => checkInteger(element, id, range)),
  )
}

function checkLogitBias(raw: RawOptions, { vocabSize }: SamplingLimits) {
  const value = raw.logitBias
  const bias = new Map<number, number>()
  if (value === undefined) return bias
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType('logitBias', 'an object or a Map from token id to number', value)
  }
  const entries: Iterable<[unknown, unknown]> =
    value instanceof Map ? value.entries() : Object.entries(value)
  for (const [key, shift] of entries) {
    const id = typeof key === 'string' && /^\d+$/.test(key) ? Number(key) : key
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabSize) {
      throw outOfRange('logitBias', `token ids from 0 to ${vocabSize - 1}`, id)
    }
    bias.set(
      id as number,
      checkNumber(`logitBias[${id as number}]`, shift, { min: -100, max: 100 }),
    )
  }
  return bias
}

function checkLogprobs(
  name: 'logprobs' | 'promptLogprobs',
  raw: RawOptions,
  { maxLogprobs, vocabSize }: SamplingLimits,
): number | null {
  const count = optionalInteger(raw, name, null, { min: -1 })
  if (count === null) return null
  if (maxLogprobs === -1) return count === -1 ? vocabSize : Math.min(count, vocabSize)
  if (count === -1) {
    throw outOfRange(name, `at most ${maxLogprobs}; −1 (all) needs maxLogprobs −1`, count)
  }
  if (count > maxLogprobs) {
    throw outOfRange(name, `at most maxLogprobs, which is ${maxLogprobs}`, count)
  }
  return count
}

/** Of an embedding too. */
export function checkTruncation(name: string, value: unknown): number {
  const tokens = checkInteger(name, value, { min: -1 })
  if (tokens === 0) throw outOfRange(name, '-1 or an integer of at least 1', tokens)
  return tokens
}

/** −1 means no seed, as in vLLM. */
function checkSeed(raw: RawOptions): number | null {
  const seed = optional(raw, 'seed', null, checkInteger)
  return seed === -1 ? null : seed
}
