import { outOfRange, wrongType, type RawOptions } from '../check.js'
import { EngineError } from '../errors.js'
import type { SamplingOptions } from '../sampling-params.js'
import { readResponseFormat, readStructured, withFormat } from './response-format.js'

/** The two kinds of request that OpenAI's API makes of a generating model. */
export type OpenAiEndpoint = '/v1/completions' | '/v1/chat/completions'

/** Where sampling options are read. */
type SamplingEndpoint = OpenAiEndpoint | '/v1/responses' | '/v1/messages'

type Fields = Readonly<Record<string, keyof SamplingOptions>>

/** Fields of all endpoints by the option that they set: OpenAI's, then vLLM's further ones. */
const SHARED_FIELDS: Fields = {
  temperature: 'temperature',
  top_p: 'topP',
  stop: 'stop',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  logit_bias: 'logitBias',
  top_k: 'topK',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
  min_tokens: 'minTokens',
  ignore_eos: 'ignoreEos',
  stop_token_ids: 'stopTokenIds',
  skip_special_tokens: 'skipSpecialTokens',
  include_stop_str_in_output: 'includeStopStrInOutput',
  bad_words: 'badWords',
  allowed_token_ids: 'allowedTokenIds',
  priority: 'priority',
  structured_outputs: 'structuredOutputs',
}

/** The same of the two that answer with choices. */
const CHOICE_FIELDS: Fields = {
  ...SHARED_FIELDS,
  max_tokens: 'maxTokens',
  n: 'n',
  prompt_logprobs: 'promptLogprobs',
  truncate_prompt_tokens: 'truncatePromptTokens',
  length_penalty: 'lengthPenalty',
}

const { stop, ...SHARED_WITHOUT_STOP } = SHARED_FIELDS

const FIELDS: Readonly<Record<SamplingEndpoint, Fields>> = {
  '/v1/completions': { ...CHOICE_FIELDS, best_of: 'bestOf', logprobs: 'logprobs' },
  // max_completion_tokens comes last: it wins over the older max_tokens.
  '/v1/chat/completions': { ...CHOICE_FIELDS, max_completion_tokens: 'maxTokens' },
  '/v1/responses': { ...SHARED_FIELDS, max_output_tokens: 'maxTokens' },
  '/v1/messages': { ...SHARED_WITHOUT_STOP, stop_sequences: stop!, max_tokens: 'maxTokens' },
}

type Harmless = Readonly<Record<string, readonly unknown[]>>

/** Fields that cannot be granted yet, with the values that ask for nothing. */
const CHOICE_REFUSED: Harmless = {
  suffix: [''],
  store: [false],
  modalities: ['text'],
  verbosity: ['medium'],
}
const REFUSED: Readonly<Record<SamplingEndpoint, Harmless>> = {
  '/v1/completions': CHOICE_REFUSED,
  '/v1/chat/completions': CHOICE_REFUSED,
  '/v1/responses': {
    background: [false],
    truncation: ['disabled'],
    ...{
      conversation: [],
      prompt: [],
      max_tool_calls: [],
      moderation: [],
      prompt_cache_options: [],
    },
    context_management: ['none'],
  },
  '/v1/messages': {
    ...{ container: [], diagnostics: [], inference_geo: [], mcp_servers: ['none'] },
    ...{ speed: ['standard'], thread: [], user_profile_id: [], workspace_id: [] },
  },
}

/** Fields that say what to answer, and labels that change no answer. */
const COMMON = [
  ...['model', 'stream', 'stream_options', 'cache_salt'],
  ...['user', 'metadata', 'service_tier', 'safety_identifier', 'prompt_cache_key'],
]
const SHARED_OTHERS = [
  ...[...COMMON, 'use_beam_search', 'response_format'],
  ...['request_id', 'return_token_ids'],
]
const OTHER_FIELDS: Readonly<Record<SamplingEndpoint, readonly string[]>> = {
  '/v1/completions': [...SHARED_OTHERS, 'prompt', 'echo', 'add_special_tokens'],
  '/v1/chat/completions': [
    ...[...SHARED_OTHERS, 'messages', 'logprobs', 'top_logprobs'],
    ...['tools', 'tool_choice', 'parallel_tool_calls', 'prediction'],
    ...['chat_template_kwargs', 'reasoning_effort', 'include_reasoning'],
    ...['add_generation_prompt', 'continue_final_message', 'documents'],
  ],
  '/v1/responses': [
    ...[...COMMON, 'prompt_cache_retention', 'chat_template_kwargs', 'reasoning'],
    ...['input', 'instructions', 'previous_response_id', 'store', 'include', 'top_logprobs'],
    ...['text', 'tools', 'tool_choice', 'parallel_tool_calls', 'client_metadata'],
  ],
  '/v1/messages': [
    ...['model', 'stream', 'cache_salt', 'metadata', 'service_tier', 'cache_control'],
    ...['messages', 'system', 'tools', 'tool_choice', 'thinking', 'output_config'],
    ...['context_management', 'chat_template_kwargs'],
  ],
}

/**
 * The sampling options that a request body asks for. A field that is null counts as absent.
 * Throws TypeError for an unknown field, RangeError or TypeError for `top_logprobs` without
 * `logprobs`, EngineError `not_supported` for a field of a later version; what the values may be is
 * the engine's to check.
 *
 * @example
 * readSampling('/v1/completions', { prompt: 'One', max_tokens: 8 }) // { maxTokens: 8 }
 */
export function readSampling(endpoint: SamplingEndpoint, body: RawOptions): SamplingOptions {
  const fields = FIELDS[endpoint]
  const options: Partial<Record<keyof SamplingOptions, unknown>> = {}
  checkNames(endpoint, body)
  for (const [field, option] of Object.entries(fields)) {
    const value = body[field] ?? undefined
    if (value !== undefined) options[option] = value
  }
  if (endpoint === '/v1/chat/completions') {
    const logprobs = readChatLogprobs(body)
    if (logprobs !== null) options.logprobs = logprobs
  }
  const structured = withFormat(readStructured(body), readResponseFormat(body))
  if (structured !== undefined) options.structuredOutputs = structured
  if (body.use_beam_search === true) searchBeams(options)
  return options as SamplingOptions
}

/** vLLM's `n` is the width of its search, which draws nothing. */
function searchBeams(options: Partial<Record<keyof SamplingOptions, unknown>>): void {
  options.beamWidth = options.n ?? 1
  delete options.temperature
}

function checkNames(endpoint: SamplingEndpoint, body: RawOptions): void {
  for (const [field, value] of Object.entries(body)) {
    if (value === null || value === undefined) continue
    if (field in FIELDS[endpoint] || OTHER_FIELDS[endpoint].includes(field)) continue
    const harmless = REFUSED[endpoint][field]
    if (!harmless) throw new TypeError(`${field}: ${endpoint} has no such field`)
    if (!harmless.includes(kindOf(value))) {
      throw new EngineError('not_supported', `${field}: not supported by this version`)
    }
  }
}

/** `{ type: 'text' }` and `['text']` ask for text, an empty list for nothing. */
function kindOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join()
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : value
}

/** Chat asks by a flag, and by a count of further tokens. */
function readChatLogprobs({ logprobs, top_logprobs: top }: RawOptions): number | null {
  const wanted = logprobs ?? false
  if (typeof wanted !== 'boolean') throw wrongType('logprobs', 'true or false', wanted)
  if (top === undefined || top === null) return wanted ? 0 : null
  if (typeof top !== 'number') throw wrongType('top_logprobs', 'an integer', top)
  if (!Number.isInteger(top) || top < 0) {
    throw outOfRange('top_logprobs', 'an integer of at least 0', top)
  }
  if (!wanted && top > 0) throw outOfRange('top_logprobs', 'none unless logprobs is true', top)
  return wanted ? top : null
}

const FIELD_OF_OPTION: ReadonlyMap<string, string> = new Map([
  ...Object.entries(FIELDS['/v1/completions']).map(([field, option]) => [option, field] as const),
  ['disableAnyWhitespace', 'disable_any_whitespace'],
])

/** An engine's message in a request's terms: `topP: expected …` becomes `top_p: expected …`. */
export function inFieldNames(message: string): { field: string | null; message: string } {
  const [, name, rest] = /^(\w+)((?:[[.:]| is not supported).*)$/s.exec(message) ?? []
  if (name === undefined || rest === undefined) return { field: null, message }
  const fieldOf = (option: string) => FIELD_OF_OPTION.get(option) ?? option
  const field = fieldOf(name)
  const inner = rest.replace(/^\.(\w+)/, (_, option: string) => `.${fieldOf(option)}`)
  return { field, message: field + inner }
}
