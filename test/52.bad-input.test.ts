import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { LLMEngine, type EngineOptions, type SamplingOptions } from '../lib/index.js'
import { EXACT, FIXTURES } from './support/models.js'

const LLAMA = join(FIXTURES, 'models/llama')
const DEMO = join(FIXTURES, '../../models/demo')
const TOKENS = { ...EXACT, skipTokenizerInit: true }

type Header = Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>

describe('a model that cannot be loaded', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'octavo-'))
    await cp(LLAMA, folder, { recursive: true })
  })
  afterEach(() => rm(folder, { recursive: true }))

  const load = (options: EngineOptions = {}) => LLMEngine.load(folder, { ...TOKENS, ...options })
  const weights = () => join(folder, 'model.safetensors')

  async function editConfig(change: Record<string, unknown>): Promise<void> {
    const path = join(folder, 'config.json')
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    await writeFile(path, JSON.stringify({ ...config, ...change }))
  }

  async function editHeader(change: (header: Header) => void): Promise<void> {
    const file = await readFile(weights())
    const length = Number(file.readBigUInt64LE())
    const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Header
    change(header)
    const json = Buffer.from(JSON.stringify(header))
    const size = Buffer.alloc(8)
    size.writeBigUInt64LE(BigInt(json.length))
    await writeFile(weights(), Buffer.concat([size, json, file.subarray(8 + length)]))
  }

  test('for kernels that this CPU cannot run', async () => {
    const foreign = process.arch === 'arm64' ? 'avx2' : 'neon'
    await expect(load({ isa: foreign })).rejects.toMatchObject({
      code: 'device_unavailable',
      message: expect.stringContaining(
        `isa: '${foreign}' is not available on this CPU; it has `,
      ) as string,
    })
  })

  test('a chat template that is not Jinja, unless another is given', async () => {
    const chatTemplate = '{{ messages[0].content }}'
    await cp(DEMO, folder, { recursive: true })
    await writeFile(join(folder, 'chat_template.jinja'), '{% for %}')
    const options = { log: false as const }
    await expect(LLMEngine.load(folder, options)).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('chat template: ') as string,
    })
    const engine = await LLMEngine.load(folder, { ...options, chatTemplate })
    const { prompt } = await engine.chat([{ role: 'user', content: 'Hi' }], { maxTokens: 1 })
    await engine.close()
    expect(prompt).toBe('Hi')
  })

  test.each(['nowhere.jinja', tmpdir()])('by a chat template in %s', async (chatTemplate) => {
    const load = LLMEngine.load('no/such-model', { chatTemplate, localFilesOnly: true })
    await expect(load).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(/^chatTemplate: /) as string,
    })
  })

  test('no such folder', async () => {
    await expect(LLMEngine.load('./no/such/model')).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('no/such/model') as string,
    })
  })

  test('no config.json', async () => {
    await rm(join(folder, 'config.json'))
    await expect(load()).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('config.json') as string,
    })
  })

  test('no weights', async () => {
    await rm(weights())
    await expect(load()).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('safetensors') as string,
    })
  })

  test('no tokenizer', async () => {
    await expect(LLMEngine.load(folder, EXACT)).rejects.toMatchObject({
      code: 'model_not_found',
      message: expect.stringContaining('skipTokenizerInit') as string,
    })
  })

  test('truncated safetensors', async () => {
    const file = await readFile(weights())
    await writeFile(weights(), file.subarray(0, file.length - 100))
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('model.safetensors') as string,
    })
  })

  test('header length beyond the file', async () => {
    const file = await readFile(weights())
    file.writeBigUInt64LE(BigInt(file.length) * 2n)
    await writeFile(weights(), file)
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('header') as string,
    })
  })

  test('overlapping offsets', async () => {
    await editHeader((header) => {
      const [first, second] = Object.values(header).filter((entry) => 'data_offsets' in entry)
      const length = second!.data_offsets[1] - second!.data_offsets[0]
      second!.data_offsets = [first!.data_offsets[0], first!.data_offsets[0] + length]
    })
    await expect(load()).rejects.toMatchObject({ code: 'invalid_file' })
  })

  test('offsets out of range', async () => {
    await editHeader((header) => {
      const entry = header['model.norm.weight']!
      entry.data_offsets = [10_000_000, 10_000_128]
    })
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('model.norm.weight') as string,
    })
  })

  test('unknown dtype', async () => {
    await editHeader((header) => {
      header['model.norm.weight']!.dtype = 'Q7'
    })
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(/model\.norm\.weight.*Q7/) as string,
    })
  })

  test('a shape that contradicts the config', async () => {
    await editConfig({ intermediate_size: 128 })
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(/mlp\.(gate|up|down)_proj.*96/) as string,
    })
  })

  test('a missing tensor', async () => {
    await editConfig({ num_hidden_layers: 3 })
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('model.layers.2.') as string,
    })
  })

  test('an unused tensor', async () => {
    await editConfig({ num_hidden_layers: 1 })
    await expect(load()).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('model.layers.1.') as string,
    })
  })

  test('an unsupported architecture lists the supported ones', async () => {
    await editConfig({ architectures: ['MambaForCausalLM'] })
    await expect(load()).rejects.toMatchObject({
      code: 'unsupported_model',
      message: expect.stringMatching(/MambaForCausalLM.*LlamaForCausalLM/) as string,
    })
  })

  test('too large for memory: refused before anything is read, with the numbers', async () => {
    await editConfig({ num_hidden_layers: 80, hidden_size: 65536, intermediate_size: 262144 })
    await rm(weights())
    await expect(load({ loadFormat: 'dummy' })).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(
        /GiB for weights.*GiB for the key\/value cache.*available/,
      ) as string,
    })
  })

  test('the engine that failed leaves nothing in the way of the next', async () => {
    await editConfig({ num_hidden_layers: 3 })
    await expect(load()).rejects.toThrow()
    await editConfig({ num_hidden_layers: 2 })
    const engine = await load()
    const [output] = await engine.generate({ promptTokenIds: [1, 2, 3] }, { maxTokens: 2 })
    expect(output!.outputs[0]!.tokenIds).toHaveLength(2)
    await engine.close()
  })
})

describe('engine options', () => {
  test.each<[EngineOptions, string, RegExp]>([
    [{ maxNumSeqs: NaN }, 'RangeError', /maxNumSeqs.*NaN/],
    [{ blockSize: 0 }, 'RangeError', /blockSize.*0/],
    [{ maxNumSeq: 12 } as EngineOptions, 'TypeError', /maxNumSeq.*maxNumSeqs/],
    [{ seed: '1' as unknown as number }, 'TypeError', /seed/],
    [{ enableChunkedPrefill: false, maxNumBatchedTokens: 64 }, 'RangeError', /maxNumBatchedTokens/],
    [{ kvCacheMemoryBytes: 1 }, 'RangeError', /kvCacheMemoryBytes/],
    [{ swapSpace: 1e-9 }, 'RangeError', /swapSpace 1e-9 holds no block: one takes \d+ bytes/],
    [{ swapSpace: 1e6 }, 'EngineError', /1000000\.0 GiB for swapped blocks and .* are available/],
  ])('%o', async (options, name, message) => {
    await expect(LLMEngine.load('demo', { log: false, ...options })).rejects.toMatchObject({
      name,
      message: expect.stringMatching(message) as string,
    })
  })

  test.each<[EngineOptions, string]>([
    [{ tensorParallelSize: 2 }, 'not_supported'],
    [{ device: 'cuda' }, 'device_unavailable'],
  ])('%o has not landed', async (options, code) => {
    await expect(LLMEngine.load('demo', options)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(Object.keys(options)[0]!) as string,
    })
  })

  test('a pool that is too small for the context lowers maxModelLen, with one line', async () => {
    const lines: string[] = []
    const engine = await LLMEngine.load('demo', {
      numGpuBlocksOverride: 4,
      blockSize: 16,
      log: (line) => lines.push(line),
    })
    expect(engine.maxModelLen).toBe(64)
    expect(lines).toEqual(['maxModelLen lowered from 2048 to 64: the cache holds 64 tokens'])
    await engine.close()
  })
})

describe('requests', () => {
  let engine: LLMEngine
  beforeAll(async () => {
    engine = await LLMEngine.load('demo', { ...EXACT, maxModelLen: 64 })
  })
  afterAll(() => engine.close())
  afterEach(async () => {
    const [output] = await engine.generate('Hello', { temperature: 0, maxTokens: 3 })
    expect(output!.outputs[0]!.tokenIds).toHaveLength(3)
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
  })

  test.each<[string, unknown, string, RegExp]>([
    ['an empty prompt', '', 'RangeError', /prompt.*at least one token/],
    ['no token ids', { promptTokenIds: [] }, 'RangeError', /prompt.*at least one token/],
    [
      'a token id outside',
      { promptTokenIds: [1, 1536] },
      'RangeError',
      /promptTokenIds\[1\].*1535.*1536/,
    ],
    ['a token id that is no integer', { promptTokenIds: [1.5] }, 'RangeError', /\[0\].*1\.5/],
    ['a number', 7, 'TypeError', /prompt.*found 7/],
    ['null', null, 'TypeError', /prompt.*null/],
    ['an unknown field', { prompt: 'a', loras: 1 }, 'TypeError', /prompt field "loras"/],
    [
      'a field of a later version',
      { prompt: 'a', multiModalData: {} },
      'EngineError',
      /multiModal/,
    ],
    ['an adapter', { prompt: 'a', loraRequest: { loraName: 'x' } }, 'EngineError', /enableLora/],
    ['too long a prompt', 'cat '.repeat(100), 'RangeError', /at most 63 tokens.*maxModelLen 64/],
  ])('prompt: %s', async (_, prompt, name, message) => {
    const expected = { name, message: expect.stringMatching(message) as string }
    await expect(engine.generate(prompt as string)).rejects.toMatchObject(expected)
    const errors: unknown[] = []
    try {
      engine.addRequest('bad', prompt as string)
    } catch (error) {
      errors.push(error)
    }
    expect(errors).toMatchObject([expected])
  })

  test.each<[SamplingOptions, string, RegExp]>([
    [{ maxTokens: 0 }, 'RangeError', /maxTokens/],
    [{ temperature: -1 }, 'RangeError', /temperature/],
    [{ temperature: NaN }, 'RangeError', /temperature.*NaN/],
    [{ topP: 0 }, 'RangeError', /topP/],
    [{ topP: 1.01 }, 'RangeError', /topP/],
    [{ stop: 5 as unknown as string }, 'TypeError', /stop/],
    [{ stop: [''] }, 'RangeError', /stop/],
    [{ stopTokenIds: [-1] }, 'RangeError', /stopTokenIds/],
    [{ maxtokens: 5 } as SamplingOptions, 'TypeError', /maxtokens.*maxTokens/],
    [{ logprobs: 21 }, 'RangeError', /logprobs.*20/],
    [{ bestOf: 1, n: 2 }, 'RangeError', /bestOf/],
    [{ n: 300 }, 'RangeError', /n.*maxNumSeqs/],
    [{ beamWidth: 300 }, 'RangeError', /beamWidth.*maxNumSeqs/],
    [{ beamWidth: 2, n: 3 }, 'RangeError', /n.*beamWidth/],
    [{ structuredOutputs: {} }, 'RangeError', /structuredOutputs/],
  ])('params: %o', async (params, name, message) => {
    const expected = { name, message: expect.stringMatching(message) as string }
    await expect(engine.generate('a', params)).rejects.toMatchObject(expected)
    expect(() => engine.stream('a', params)).toThrow(message)
  })

  test('params for another number of prompts', async () => {
    await expect(engine.generate(['a', 'b'], [{}])).rejects.toThrow(/params: expected one for each/)
  })

  test.each<[object | null, RegExp]>([
    [{ sginal: 1 }, /unknown call option "sginal".*signal/],
    [{ signal: 'now' }, /signal: expected an AbortSignal, found "now"/],
    [null, /call options: expected an object, found null/],
  ])('call options: %o', async (options, message) => {
    await expect(engine.generate('a', {}, options!)).rejects.toThrow(message)
    await expect(engine.cachePrefix('a', options!)).rejects.toThrow(message)
    expect(() => engine.stream('a', {}, options!)).toThrow(message)
  })

  test('chat options that there are none of', async () => {
    const chat = [{ role: 'user', content: 'a' }]
    const options = { tool: [] } as object
    await expect(engine.chat(chat, {}, options)).rejects.toThrow(/"tool".*tools/)
    expect(() => engine.chatStream(chat, {}, options)).toThrow(/"tool".*tools/)
  })

  test('a request id that is in use', async () => {
    engine.addRequest('same', 'Hello', { maxTokens: 2 })
    expect(() => {
      engine.addRequest('same', 'Hello')
    }).toThrow(/requestId: "same" is in use/)
    while ((await engine.step()).length > 0);
    engine.addRequest('same', 'Hello', { maxTokens: 1 })
    while ((await engine.step()).length > 0);
  })

  test('bestOf above n cannot stream', () => {
    const params = { n: 1, bestOf: 2, temperature: 1 }
    expect(() => engine.stream('a', params)).toThrow(/bestOf.*streaming/)
  })

  test('messages that are none', async () => {
    await expect(engine.chat([])).rejects.toThrow(/messages/)
    await expect(engine.chat([{ content: 'a' } as never])).rejects.toThrow(/messages\[0\]\.role/)
  })

  test('a request that can never fit the pool', async () => {
    const small = await LLMEngine.load('demo', { ...EXACT, numGpuBlocksOverride: 4 })
    const prompt = { promptTokenIds: Array.from({ length: 64 }, () => 5) }
    await expect(small.generate(prompt)).rejects.toThrow(/at most 63 tokens/)
    const [output] = await small.generate({ promptTokenIds: [5] }, { maxTokens: 2 })
    expect(output!.finished).toBe(true)
    small.checkIntegrity()
    await small.close()
  })
})

test('a prompt that the model turns into no numbers ends alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'octavo-'))
  await cp(DEMO, folder, { recursive: true })
  const path = join(folder, 'model.safetensors')
  const file = await readFile(path)
  const length = Number(file.readBigUInt64LE())
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Header
  const { shape, data_offsets: range } = header['model.embed_tokens.weight']!
  const token = 7
  file.writeUInt16LE(0x7fc0, 8 + length + range[0] + 2 * token * shape[1]!) // NaN in bfloat16
  await writeFile(path, file)
  const engine = await LLMEngine.load(folder, EXACT)
  const params = { maxTokens: 3, allowedTokenIds: [5, 6] }
  const [bad, badSearch, good] = await Promise.allSettled([
    engine.generate({ promptTokenIds: [5, token] }, { ...params, n: 2 }),
    engine.generate({ promptTokenIds: [5, token] }, { maxTokens: 3, beamWidth: 2 }),
    engine.generate({ promptTokenIds: [5, 6] }, params),
  ])
  const noNumbers = {
    reason: { code: 'unsupported_model', message: expect.stringMatching(/no numbers/) as string },
  }
  expect([bad, badSearch]).toMatchObject([noNumbers, noNumbers])
  expect(good).toMatchObject({ status: 'fulfilled' })
  engine.checkIntegrity()
  expect(engine.stats()).toMatchObject({ running: 0, usedBlocks: 0 })
  await engine.close()
  await rm(folder, { recursive: true })
})

describe('tokens that the tokenizer knows and the model does not', () => {
  const EXTRA = { id: 1536, content: '[PAD]', special: true }
  let folder: string
  let engine: LLMEngine
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'octavo-'))
    await cp(DEMO, folder, { recursive: true })
    const path = join(folder, 'tokenizer.json')
    const tokenizer = JSON.parse(await readFile(path, 'utf8')) as { added_tokens: object[] }
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], ...EXTRA })
    await writeFile(path, JSON.stringify(tokenizer))
    await writeFile(
      join(folder, 'generation_config.json'),
      JSON.stringify({ eos_token_id: [2, EXTRA.id] }),
    )
    engine = await LLMEngine.load(folder, EXACT)
  })
  afterAll(async () => {
    await engine.close()
    await rm(folder, { recursive: true })
  })

  test('are refused in a prompt', async () => {
    await expect(engine.generate('Hello [PAD]')).rejects.toThrow(
      /promptTokenIds\[\d\]: .* 0 to 1535, found 1536/,
    )
  })

  test('are never drawn anyway: an end token and a bad word', async () => {
    const params = { maxTokens: 3, minTokens: 3, badWords: ['[PAD]'] }
    const [output] = await engine.generate('Hello', params)
    expect(output!.outputs[0]!.tokenIds).toHaveLength(3)
  })
})
