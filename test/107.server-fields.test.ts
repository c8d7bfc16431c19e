import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { toFile } from 'openai'
import { TestServer } from './support/server.js'

// Every field that OpenAI's or vLLM's API has is granted, or refused by its name; none is ignored.
const folder = mkdtempSync(join(tmpdir(), 'octavo-fields-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const server = await TestServer.start({ filesFolder: folder })
afterEach(() => server.settled())

type Fields = Readonly<Record<string, unknown>>

interface Endpoint {
  readonly body: Fields
  readonly granted: Fields
  readonly refused: Fields
}

const tool = { type: 'function', function: { name: 'f', parameters: {} } }
const SAMPLED: Fields = {
  ...{
    temperature: 0.5,
    top_p: 0.5,
    top_k: 3,
    min_p: 0.1,
    seed: 1,
    stop: 'x',
    logit_bias: { 5: 1 },
  },
  ...{ presence_penalty: 0.5, frequency_penalty: 0.5, repetition_penalty: 1.1, min_tokens: 1 },
  ...{ ignore_eos: true, stop_token_ids: [9], skip_special_tokens: false, bad_words: ['x'] },
  ...{ include_stop_str_in_output: true, allowed_token_ids: [20, 21], priority: 0 },
  ...{ structured_outputs: { choice: ['a'] }, cache_salt: 'a', model: 'demo' },
  ...{ user: 'u', metadata: { a: 'b' }, service_tier: 'auto', safety_identifier: 's' },
  prompt_cache_key: 'k',
}
const CHOICES: Fields = {
  ...{ ...SAMPLED, n: 2, prompt_logprobs: 1, use_beam_search: true },
  ...{ truncate_prompt_tokens: 5, request_id: 'r', return_token_ids: true },
  response_format: { type: 'json_object' },
}
/** Fields of vLLM and OpenAI that ask for what is not there. */
const ABSENT: Fields = {
  ...{ spaces_between_special_tokens: false, truncation_side: 'left' },
  ...{ logprob_token_ids: [1], session_id: 's' },
  ...{ return_tokens_as_token_ids: true, return_token_offsets: true, return_prompt_text: true },
  ...{ kv_transfer_params: {}, ec_transfer_params: {}, vllm_xargs: {}, repetition_detection: {} },
  ...{ thinking_token_budget: 5, stream_interval: 2, watermarking: {}, mm_processor_kwargs: {} },
  ...{ media_io_kwargs: {}, guided_json: {}, guided_regex: 'a', guided_choice: ['a'] },
}

const ENDPOINTS: Readonly<Record<string, Endpoint>> = {
  '/v1/completions': {
    body: { prompt: 'Once', max_tokens: 2 },
    granted: { ...CHOICES, echo: true, logprobs: 1, best_of: 2, add_special_tokens: false },
    refused: { ...ABSENT, suffix: 'end', prompt_embeds: 'AAAA', messages: [], store: true },
  },
  '/v1/chat/completions': {
    body: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 2 },
    granted: {
      ...{ ...CHOICES, max_completion_tokens: 3, logprobs: true, tools: [tool] },
      ...{ tool_choice: 'auto', parallel_tool_calls: false, reasoning_effort: 'low' },
      ...{ include_reasoning: false, add_generation_prompt: false, documents: [] },
      ...{ chat_template_kwargs: { enable_thinking: false }, verbosity: 'medium', store: false },
      modalities: ['text'],
    },
    refused: {
      ...{ ...ABSENT, echo: true, add_special_tokens: true, chat_template: 'x', audio: {} },
      ...{ functions: [], function_call: 'auto', web_search_options: {}, verbosity: 'low' },
      ...{ modalities: ['audio'], store: true, prompt: 'x', prompt_embeds: 'AAAA' },
      tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'auto', tools: [] } },
    },
  },
  '/v1/responses': {
    body: { input: 'Hi', max_output_tokens: 2 },
    granted: {
      ...{ ...SAMPLED, instructions: 'Be short.', store: false, truncation: 'disabled' },
      ...{ parallel_tool_calls: false, background: false, reasoning: { effort: 'low' } },
      text: { format: { type: 'json_schema', name: 'a', schema: { enum: [1] } } },
      tools: [
        { type: 'function', name: 'f', parameters: {} },
        {
          type: 'namespace',
          name: 'n',
          description: 'd',
          tools: [{ type: 'function', name: 'f' }],
        },
      ],
      ...{ include: ['reasoning.encrypted_content'], client_metadata: { a: 'b' } },
    },
    refused: {
      ...{ background: true, truncation: 'auto', conversation: 'c', prompt: { id: 'p' } },
      ...{
        truncate_prompt_tokens: 5,
        max_tool_calls: 1,
        request_id: 'r',
        previous_response: {},
        vllm_xargs: {},
        n: 2,
      },
      ...{ include: ['web_search_call.results'], tools: [{ type: 'web_search' }] },
      ...{ reasoning: { summary: 'detailed' }, text: { verbosity: 'low' }, max_tokens: 3 },
    },
  },
  '/v1/embeddings': {
    body: { input: 'Once' },
    granted: {
      ...{ dimensions: 8, encoding_format: 'base64', user: 'u', model: 'demo', pooling: 'mean' },
      ...{ normalize: false, add_special_tokens: false, cache_salt: 'a' },
      truncate_prompt_tokens: -1,
    },
    refused: {
      ...{ messages: [], embed_dtype: 'float32', priority: 1 },
      ...{ request_id: 'r', use_activation: true, encoding_format: 'bytes', padding: true },
    },
  },
  '/v1/score': {
    body: { text_1: 'Once', text_2: 'Then' },
    granted: {
      ...{ model: 'demo', pooling: 'mean', dimensions: 8, add_special_tokens: false, user: 'u' },
      ...{ truncate_prompt_tokens: -1, cache_salt: 'a' },
    },
    refused: { use_activation: true, priority: 1, normalize: false, encoding_format: 'float' },
  },
  '/v1/rerank': {
    body: { query: 'Once', documents: ['Then'] },
    granted: { top_n: 1, return_documents: false, truncate_prompt_tokens: -1 },
    refused: { use_activation: true, max_tokens_per_doc: 5, rank_fields: ['text'] },
  },
  '/tokenize': {
    body: { prompt: 'Once' },
    granted: { model: 'demo', add_special_tokens: false, return_token_strs: true },
    refused: { chat_template: 'x', mm_processor_kwargs: {}, add_special_token: true },
  },
  '/detokenize': {
    body: { tokens: [5, 6] },
    granted: { model: 'demo' },
    refused: { skip_special_tokens: true },
  },
  '/v1/batches': {
    body: { input_file_id: 'file-0', endpoint: '/v1/completions' },
    granted: {},
    refused: { output_expires_after: {}, completion_window: '1h', endpoint: '/v1/models' },
  },
}

describe.each(Object.entries(ENDPOINTS))('%s', (path, { body, granted, refused }) => {
  test.each(Object.entries(granted))('grants %s', async (name, value) => {
    const response = await server.post(path, { ...body, [name]: value })
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
  })

  test.each(Object.entries(refused))('refuses %s', async (name, value) => {
    const response = await server.post(path, { ...body, [name]: value })
    const { error } = (await response.json()) as { error: { type: string; param: string } }
    expect([response.status, error.type]).toEqual([400, 'invalid_request_error'])
    expect(error.param).toMatch(new RegExp(`^${name}\\b`))
  })
})

test.each([
  [{ include_usage: true }, 200],
  [{ continuous_usage_stats: true }, 200],
  [{ include_obfuscation: false }, 200],
  [{ include_obfuscation: true }, 400],
  [{ include_all: true }, 400],
])('stream_options of %j', async (stream_options, status) => {
  const body = { prompt: 'Once', max_tokens: 2, stream: true, stream_options }
  const response = await server.post('/v1/completions', body)
  expect(response.status).toBe(status)
  if (status === 400) expect(await response.text()).toContain('"param":"stream_options"')
  else await response.text()
})

describe('lists', () => {
  const { client } = server
  const read = async (path: string) => {
    const response = await fetch(server.url + path)
    return { status: response.status, ...((await response.json()) as Listing) }
  }
  interface Listing {
    readonly data: readonly { readonly id: string }[]
    readonly has_more: boolean
    readonly error?: { readonly param: string }
  }

  test('are read a page at a time, in either order', async () => {
    for (let i = 0; i < 3; i++) {
      await client.files.create({ file: await toFile(Buffer.from('{}'), `${i}`), purpose: 'batch' })
    }
    const all = (await read('/v1/files')).data.map(({ id }) => id)
    expect(all).toHaveLength(3)
    const first = await read('/v1/files?limit=2')
    expect([first.data.map(({ id }) => id), first.has_more]).toEqual([all.slice(0, 2), true])
    const rest = await read(`/v1/files?limit=2&after=${all[1]}`)
    expect([rest.data.map(({ id }) => id), rest.has_more]).toEqual([all.slice(2), false])
    const rising = await read('/v1/files?order=asc&purpose=batch')
    expect(rising.data.map(({ id }) => id)).toEqual(all.toReversed())
    expect((await read('/v1/files?purpose=vision')).data).toEqual([])
    const pages: string[] = []
    for await (const { id } of client.files.list({ limit: 1 })) pages.push(id)
    expect(pages).toEqual(all)
  })

  test.each(['limit=0', 'limit=x', 'after=file-1', 'order=up', 'page=2'])(
    'refuse ?%s',
    async (query) => {
      for (const path of ['/v1/files', '/v1/batches']) {
        const { status, error } = await read(`${path}?${query}`)
        expect([status, error?.param]).toEqual([400, query.split('=')[0]])
      }
    },
  )

  test('an upload with a field that is not known is refused', async () => {
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('expires_after[seconds]', '3600')
    form.set('file', new Blob(['{}']), 'in.jsonl')
    const response = await fetch(`${server.url}/v1/files`, { method: 'POST', body: form })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('expires_after')
  })
})

/** Bounds of the histograms as vLLM has them. */
const FIRST_TOKEN =
  '0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 20 40 80 160 640 2560'
const NEXT_TOKEN = '0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40 80'
const REQUEST = '0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680'
const TOKENS = '1 2 5 10 20 50 100 200 500 1000 2000'

test.each([
  ['time_to_first_token_seconds', FIRST_TOKEN],
  ['inter_token_latency_seconds', NEXT_TOKEN],
  ['time_per_output_token_seconds', NEXT_TOKEN],
  ['request_time_per_output_token_seconds', NEXT_TOKEN],
  ['e2e_request_latency_seconds', REQUEST],
  ['request_queue_time_seconds', REQUEST],
  ['request_inference_time_seconds', REQUEST],
  ['request_prefill_time_seconds', REQUEST],
  ['request_decode_time_seconds', REQUEST],
  ['request_prompt_tokens', TOKENS],
  ['request_generation_tokens', TOKENS],
  ['request_max_num_generation_tokens', TOKENS],
  ['request_params_max_tokens', TOKENS],
  ['request_prefill_kv_computed_tokens', TOKENS],
  ['request_params_n', '1 2 5 10 20'],
  ['iteration_tokens_total', '1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384'],
])('vllm:%s has vLLM’s bounds and labels', async (name, bounds) => {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const series = `vllm:${name}_bucket\\{le="([^"]+)",model_name="demo",engine="0"\\}`
  const found = [...text.matchAll(new RegExp(`^${series}`, 'gm'))].map(([, bound]) => bound)
  expect(found.join(' ')).toBe(`${bounds} +Inf`)
  expect(text.match(new RegExp(`^# TYPE vllm:${name} histogram$`, 'gm'))).toHaveLength(1)
})
