import fc from 'fast-check'

/** A request as a fuzzer makes it: a path, and a body that is mostly what the path expects. */
export interface RandomRequest {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

type Fields = Readonly<Record<string, fc.Arbitrary<unknown>>>

const one = (...values: readonly unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values)
const mostly = (usual: readonly unknown[], odd: unknown) =>
  fc.oneof({ weight: 15, arbitrary: one(...usual) }, one(odd))
const flag = fc.boolean()
const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), one('Once', 'a', '', '\0'))
const ids = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 6 })
const prompt = fc.oneof(
  text,
  fc.array(text, { maxLength: 3 }),
  ids,
  fc.array(ids, { maxLength: 3 }),
)
const weight = fc.double({ min: -2, max: 2, noNaN: true })
const share = fc.double({ min: 0, max: 1, noNaN: true })
const few = fc.integer({ min: 0, max: 4 })

const schema = one(
  { type: 'object', properties: { a: { type: 'boolean' } }, required: ['a'] },
  { enum: [1, 'two'] },
  { type: 'sometimes' },
)
const tool = fc.record({
  type: one('function', 'retrieval'),
  function: fc.record({ name: one('look', 'a b', ''), parameters: schema }, { requiredKeys: [] }),
})
const message = fc.record(
  {
    role: mostly(['system', 'user', 'user', 'assistant', 'tool', 'developer'], 'nobody'),
    content: fc.oneof(
      { weight: 4, arbitrary: text },
      mostly([[{ type: 'text', text: 'Hi' }], null], [{ type: 'image_url' }]),
    ),
    tool_call_id: one('c1'),
    tool_calls: mostly(
      [[]],
      [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
    ),
  },
  { requiredKeys: ['role', 'content'] },
)
const toolChoice = one('auto', 'none', 'required', { type: 'function', function: { name: 'look' } })

/** A message of Anthropic's API. */
const anthropicMessage = fc.record({
  role: mostly(['user', 'user', 'assistant'], 'tool'),
  content: fc.oneof(
    text,
    mostly(
      [
        [{ type: 'text', text: 'Hi' }],
        [{ type: 'tool_use', id: 'c1', name: 'f', input: {} }],
        [{ type: 'tool_result', tool_use_id: 'c1', content: [{ type: 'text', text: 'Hi' }] }],
      ],
      [{ type: 'document' }],
    ),
  ),
})

/** Fields of everything that is sampled, by OpenAI and by vLLM. */
const SAMPLING: Fields = {
  ...{ temperature: weight, top_p: share, min_p: share, top_k: fc.integer({ min: -1, max: 9 }) },
  ...{ stop: fc.oneof(text, fc.array(text, { maxLength: 3 })), seed: fc.maxSafeInteger() },
  ...{ presence_penalty: weight, frequency_penalty: weight, repetition_penalty: weight },
  logit_bias: fc.dictionary(one('1', '17', 'x') as fc.Arbitrary<string>, weight, { maxKeys: 2 }),
  ...{ min_tokens: few, ignore_eos: flag, stop_token_ids: ids, allowed_token_ids: ids },
  ...{ skip_special_tokens: flag, include_stop_str_in_output: flag, priority: few },
  ...{ bad_words: fc.array(text, { maxLength: 2 }), cache_salt: text, user: text },
  structured_outputs: one(
    { regex: 'a{1,3}' },
    { choice: ['x'] },
    { json: true },
    { regex: '(' },
    {},
  ),
  ...{ metadata: one({ a: 'b' }, {}), service_tier: one('auto'), stream: flag },
}
const CHOICES: Fields = {
  ...SAMPLING,
  ...{ n: few, prompt_logprobs: few, length_penalty: weight, use_beam_search: flag },
  response_format: fc.oneof(
    one({ type: 'text' }, { type: 'json_object' }, { type: 'xml' }, { type: 'json_schema' }),
    fc.record({ type: one('json_schema'), json_schema: fc.record({ name: text, schema }) }),
  ),
  stream_options: one({ include_usage: true }, { continuous_usage_stats: true }, { x: 1 }),
}

interface Endpoint {
  /** How often it is asked, beside the others. */
  readonly weight: number
  readonly base: fc.Arbitrary<Readonly<Record<string, unknown>>>
  readonly fields: Fields
}

const streamed = fc.oneof({ weight: 3, arbitrary: one(null) }, one(true))
const short = { max_tokens: few, stream: streamed }
const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  '/v1/completions': {
    weight: 4,
    base: fc.record({ prompt, ...short }),
    fields: { ...CHOICES, logprobs: few, echo: flag, suffix: text, best_of: few },
  },
  '/v1/chat/completions': {
    weight: 4,
    base: fc.record({ messages: fc.array(message, { maxLength: 3 }), ...short }),
    fields: {
      ...{ ...CHOICES, logprobs: flag, top_logprobs: few, max_completion_tokens: few },
      ...{ tools: fc.array(tool, { maxLength: 2 }), tool_choice: toolChoice },
      ...{ parallel_tool_calls: flag, reasoning_effort: one('low', 'none'), documents: one([]) },
      ...{ include_reasoning: flag, add_generation_prompt: flag, continue_final_message: flag },
      chat_template_kwargs: one({ enable_thinking: false }, { messages: 1 }),
    },
  },
  '/v1/responses': {
    weight: 3,
    base: fc.record({
      input: fc.oneof(text, fc.array(message, { maxLength: 2 })),
      max_output_tokens: few,
      stream: streamed,
    }),
    fields: {
      ...{ ...SAMPLING, instructions: text, previous_response_id: text, store: flag },
      text: one({ format: { type: 'text' } }, { format: { type: 'json_schema' } }),
      ...{ tools: fc.array(tool, { maxLength: 1 }), tool_choice: toolChoice, top_logprobs: few },
      ...{ truncation: one('disabled', 'auto'), include: one([], ['x']), background: flag },
    },
  },
  '/v1/messages': {
    weight: 3,
    base: fc.record({
      messages: fc.array(anthropicMessage, { minLength: 1, maxLength: 3 }),
      ...short,
    }),
    fields: {
      ...{ ...SAMPLING, stop_sequences: fc.array(text, { maxLength: 2 }) },
      system: fc.oneof(text, one([{ type: 'text', text: 'Hi' }], [{ type: 'image' }])),
      thinking: one(
        { type: 'disabled' },
        { type: 'adaptive' },
        { type: 'enabled', budget_tokens: 9 },
      ),
      tools: fc.array(fc.record({ name: one('look', ''), input_schema: schema }), { maxLength: 2 }),
      tool_choice: one(
        ...[{ type: 'any' }, { type: 'auto' }, { type: 'none' }, { type: 'tool', name: 'look' }],
      ),
      output_config: one(
        { effort: 'low' },
        { format: { type: 'json_schema', schema: { enum: [1] } } },
      ),
    },
  },
  '/v1/messages/count_tokens': {
    weight: 1,
    base: fc.record({ messages: fc.array(anthropicMessage, { maxLength: 3 }) }),
    fields: { system: text, model: text },
  },
  '/v1/embeddings': {
    weight: 1,
    base: fc.record({ input: prompt }),
    fields: {
      ...{ encoding_format: one('float', 'base64', 'bytes'), dimensions: few, normalize: flag },
      ...{ pooling: one('mean', 'last', 'max'), add_special_tokens: flag, cache_salt: text },
    },
  },
  '/tokenize': {
    weight: 1,
    base: fc.oneof(fc.record({ prompt: text }), fc.record({ messages: fc.array(message) })),
    fields: { add_special_tokens: flag, return_token_strs: flag, add_generation_prompt: flag },
  },
  '/detokenize': { weight: 1, base: fc.record({ tokens: ids }), fields: { model: text } },
}

const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.integer({ min: -5, max: 50 }),
  one('', 'Once', true, null, 1e300, -0.5, [], {}, [[]], '9'.repeat(50)),
)
/** Names that no endpoint knows, or that objects have by themselves. */
const odd = one('__proto__', 'constructor', 'toString', 'temprature', '') as fc.Arbitrary<string>

/** Bodies of all endpoints: their fields with values that fit or nearly do, and with anything. */
export const randomRequest: fc.Arbitrary<RandomRequest> = fc.oneof(
  ...Object.entries(ENDPOINTS).map(([path, { weight, base, fields }]) => {
    const known = fc.constantFrom(...Object.keys(fields))
    const fitting = known.chain((name) => fc.tuple(fc.constant(name), fields[name]!))
    const unfit = fc.tuple(fc.oneof({ weight: 9, arbitrary: known }, odd), junk)
    const field = fc.oneof({ weight: 5, arbitrary: fitting }, { weight: 1, arbitrary: unfit })
    const start = fc.oneof({ weight: 12, arbitrary: base }, fc.constant({}))
    const arbitrary = fc
      .tuple(start, fc.array(field, { maxLength: 4 }))
      .map(([given, more]) => ({ path, body: { ...given, ...Object.fromEntries(more) } }))
    return { weight, arbitrary }
  }),
)

/** A text that was JSON before something happened to it on its way: a byte is lost, added or changed. */
export function damaged(text: string, at: number, byte: number, kind: 'cut' | 'add' | 'change') {
  const bytes = Buffer.from(text)
  const place = at % (bytes.length + 1)
  if (kind === 'cut') return bytes.subarray(0, place)
  const rest = bytes.subarray(kind === 'add' ? place : place + 1)
  return Buffer.concat([bytes.subarray(0, place), Buffer.of(byte), rest])
}
