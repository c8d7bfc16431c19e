import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateText } from 'ai'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createOctavo } from '../lib/ai/index.js'
import { LLMEngine, runBatch, type EngineOptions } from '../lib/index.js'
import type { SamplingParams } from '../lib/sampling-params.js'
import { createHandler } from '../lib/server/index.js'
import { octavo } from './support/octavo.js'

const folder = mkdtempSync(join(tmpdir(), 'octavo-generation-'))
afterAll(() => rmSync(folder, { recursive: true }))
cpSync('models/demo', folder, { recursive: true })
const file = join(folder, 'generation_config.json')
const write = (config: object) => writeFileSync(file, JSON.stringify(config))

const log: string[] = []
const load = (options: EngineOptions = {}) =>
  LLMEngine.load(folder, { log: (line) => log.push(line), ...options })

const GIVEN = {
  ...{ do_sample: true, eos_token_id: [2, 0], top_p: null, temperature: 0.5 },
  ...{ top_k: 7, min_p: 0.01, repetition_penalty: 1.1, max_new_tokens: 5, num_beams: 3 },
}
write(GIVEN)
const engine = await load()
const handler = createHandler(engine)
const ended: SamplingParams[] = []
engine.observe({ onEnd: ({ params }) => ended.push(params) })
afterAll(() => engine.close())
afterEach(() => (ended.length = 0))

const MODEL = { temperature: 0.5, topK: 7, topP: 1, minP: 0.01, repetitionPenalty: 1.1 }
const OWN = { temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 }
const messages = [{ role: 'user', content: 'Hi' }]

const post = async (path: string, body: object): Promise<unknown> => {
  const init = { method: 'POST', body: JSON.stringify(body) }
  const response = await handler(new Request(`http://localhost${path}`, init))
  const text = await response.text()
  expect([response.status, text]).toEqual([200, text])
  return 'stream' in body ? text : JSON.parse(text)
}

const readAll = async (stream: AsyncIterable<unknown>) => {
  const deltas: unknown[] = []
  for await (const delta of stream) deltas.push(delta)
}

describe('what a request leaves out is as the model has it', () => {
  const PROMPTS: Record<string, () => Promise<unknown>> = {
    generate: () => engine.generate('Once'),
    'generate with undefined': () => engine.generate('Once', { topK: undefined }),
    stream: () => readAll(engine.stream('Once')),
    '/v1/completions': () => post('/v1/completions', { prompt: 'Once', top_k: null }),
    addRequest: async () => {
      engine.addRequest('a', 'Once')
      while ((await engine.step()).length > 0);
    },
  }
  test.each(Object.entries(PROMPTS))('%s', async (_, run) => {
    await run()
    expect(ended).toMatchObject([{ ...MODEL, maxTokens: 16 }])
  })

  const CHATS: Record<string, () => Promise<unknown>> = {
    chat: () => engine.chat(messages),
    chatStream: () => readAll(engine.chatStream(messages)),
    '/v1/chat/completions': () => post('/v1/chat/completions', { messages }),
    'its stream': () => post('/v1/chat/completions', { messages, stream: true }),
    'the AI SDK': () => generateText({ model: createOctavo(engine)(), prompt: 'Hi' }),
    'a batch': async () => {
      const request = { custom_id: 'a', method: 'POST', url: '/v1/chat/completions' }
      const input = join(folder, 'in.jsonl')
      writeFileSync(input, JSON.stringify({ ...request, body: { messages } }))
      await runBatch(engine, input, join(folder, 'out.jsonl'))
    },
  }
  test.each(Object.entries(CHATS))('%s, with max_new_tokens', async (_, run) => {
    await run()
    expect(ended).toMatchObject([{ ...MODEL, maxTokens: 5 }])
  })

  test('/v1/responses, which tells how it was drawn', async () => {
    const response = await post('/v1/responses', { input: 'Hi' })
    expect(response).toMatchObject({ temperature: 0.5, top_p: 1, max_output_tokens: null })
    expect(ended).toMatchObject([{ ...MODEL, maxTokens: 5 }])
    expect(
      await post('/v1/responses', { input: 'Hi', temperature: 0.25, top_p: 0.75 }),
    ).toMatchObject({ temperature: 0.25, top_p: 0.75 })
  })

  test('octavo generate', () => {
    const args = ['--seed', '3', '--max-tokens', '12', 'Once upon a time']
    const given = '--temperature 0.5 --top-k 7 --min-p 0.01 --repetition-penalty 1.1'.split(' ')
    const { stdout, stderr } = octavo(['generate', '-m', folder, ...args])
    expect(stderr).toContain('generation_config.json: temperature 0.5, topK 7, minP 0.01')
    expect(octavo(['generate', '-m', 'demo', ...args, ...given]).stdout).toBe(stdout)
    const own = octavo(['generate', '-m', folder, '--generation-config', 'vllm', ...args])
    expect(own.stdout).toBe(octavo(['generate', '-m', 'demo', ...args]).stdout)
    expect(own.stdout).not.toBe(stdout)
  })

  test('octavo info shows it', () => {
    expect(octavo(['info', folder]).stdout).toMatch(
      /\nsampling +temperature 0.5, topK 7, minP 0.01, repetitionPenalty 1.1, maxTokens 5\n/,
    )
    expect(octavo(['info', 'demo']).stdout).toMatch(/\nsampling +the library's own\n/)
  })

  test('the engine tells it once, when it loads', () => {
    expect(engine.samplingDefaults).toEqual({
      ...{ temperature: 0.5, topK: 7, minP: 0.01, repetitionPenalty: 1.1, maxTokens: 5 },
    })
    expect(log).toContain(
      'generation_config.json: temperature 0.5, topK 7, minP 0.01, repetitionPenalty 1.1, maxTokens 5, ' +
        'unless a request says otherwise',
    )
  })
})

describe('what a request says wins', () => {
  test('over the tokens of a chat, for which no prompt is cut', async () => {
    const whole = await engine.chat(messages, { maxTokens: 1 })
    write({ ...GIVEN, max_new_tokens: 2048 })
    const generous = await load({ maxModelLen: 64 })
    const cut = await generous.chat(messages, { truncatePromptTokens: -1 })
    await generous.close()
    expect(cut.promptTokenIds).toEqual(whole.promptTokenIds)
  })

  test('over each of them', async () => {
    const params = { temperature: 0.9, topK: 0, topP: 0.8, minP: 0, repetitionPenalty: 1 }
    await engine.chat(messages, { ...params, maxTokens: 3 })
    expect(ended).toMatchObject([{ ...params, maxTokens: 3 }])
  })

  test('greedy draws are those of the library, but for the penalty', async () => {
    const greedy = { temperature: 0, maxTokens: 12, repetitionPenalty: 1 }
    const [output] = await engine.generate('Once upon a time', greedy)
    const plain = await LLMEngine.load('demo', { log: false })
    const [expected] = await plain.generate('Once upon a time', greedy)
    await plain.close()
    expect(output!.outputs[0]!.tokenIds).toEqual(expected!.outputs[0]!.tokenIds)
  })

  test('a beam search takes none, but ends where a chat does', async () => {
    await engine.generate('Once', { beamWidth: 2, maxTokens: 4 })
    await engine.chat(messages, { beamWidth: 2 })
    const searched = { ...OWN, temperature: 0, beamWidth: 2 }
    expect(ended).toMatchObject([
      { ...searched, maxTokens: 4 },
      { ...searched, maxTokens: 5 },
    ])
  })
})

describe('generationConfig', () => {
  const paramsOf = async (options: EngineOptions) => {
    const loaded = await load(options)
    const { samplingDefaults } = loaded
    let params: SamplingParams | undefined
    loaded.observe({ onEnd: (request) => (params = request.params) })
    await loaded.chat(messages)
    await loaded.close()
    return { samplingDefaults, params }
  }

  test("'vllm': the library's own, and end tokens as before", async () => {
    log.length = 0
    const { params, samplingDefaults } = await paramsOf({ generationConfig: 'vllm' })
    expect(params).toMatchObject({ ...OWN, maxTokens: null })
    expect(samplingDefaults).toEqual({})
    expect(log).toEqual([])
  })

  test.each([{}, { temperature: null, max_length: 20, do_sample: false, top_k: null }])(
    'a file that says nothing of it: %j',
    async (config) => {
      write(config)
      log.length = 0
      expect(await paramsOf({})).toMatchObject({ params: { ...OWN, maxTokens: null } })
      expect(log).toEqual([])
    },
  )

  test.each([
    [{ temperature: 'hot' }, 'temperature must be a number, found "hot"'],
    [{ temperature: -1 }, 'temperature: expected a number of at least 0, found -1'],
    [{ top_p: 0 }, 'top_p: expected a number above 0 and at most 1, found 0'],
    [{ top_k: 1.5 }, 'top_k: expected an integer of at least -1, found 1.5'],
    [{ max_new_tokens: 0 }, 'max_new_tokens: expected an integer of at least 1, found 0'],
  ])('a file that says %j', async (config, message) => {
    write(config)
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining(`${file}: ${message}`) as string,
    })
    await (await load({ generationConfig: 'vllm' })).close()
    expect(octavo(['info', folder]).stdout).toContain(`sampling       ${file}: ${message}`)
  })
})
