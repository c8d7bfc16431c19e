import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { EngineError } from '../lib/errors.js'
import { EncodeWorker } from '../lib/text/encode-worker.js'
import { createLibraryTokenizer } from '../lib/text/library-tokenizer.js'
import type { TokenizerJson } from '../lib/text/tokenizer-files.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { kinds, loadFixture, smollm2, smollm2Strings } from './helpers/tokenizers.js'

describe.each(kinds)('%s', (kind) => {
  const { tokenizer, strings } = loadFixture(kind)

  test('encodes with and without special tokens as the reference', () => {
    for (const { text, ids, idsWithSpecial } of strings) {
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], text).toEqual(ids)
      expect([...tokenizer.encode(text)], text).toEqual(idsWithSpecial)
    }
  })

  test('decodes with and without special tokens as the reference', () => {
    for (const { ids, idsWithSpecial, decoded, decodedSkipSpecial } of strings) {
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded)
      expect(tokenizer.decode(idsWithSpecial)).toBe(decodedSkipSpecial)
    }
  })

  test('encodes a long text in the worker to the same ids', async () => {
    const long = strings
      .map(({ text }) => text)
      .join(' ')
      .repeat(30)
    expect(long.length).toBeGreaterThan(16_384)
    expect(await tokenizer.encodeAsync(long)).toEqual(tokenizer.encode(long))
    const plain = { addSpecialTokens: false }
    expect(await tokenizer.encodeAsync(long, plain)).toEqual(tokenizer.encode(long, plain))
  })

  afterAll(() => tokenizer.close())
})

test.skipIf(smollm2 === null)('SmolLM2 encodes and decodes as the reference', async () => {
  const tokenizer = await Tokenizer.load(smollm2!)
  for (const { text, ids } of smollm2Strings) {
    expect([...tokenizer.encode(text)], text).toEqual(ids)
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text)
  }
  expect(tokenizer.vocabSize).toBe(49_152)
  expect(tokenizer.eosToken).toBe('<|im_end|>')
})

describe('the demo model', () => {
  test('knows its special tokens', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    expect(tokenizer).toMatchObject({
      bosToken: '<|endoftext|>',
      bosTokenId: 0,
      eosToken: '<|im_end|>',
      eosTokenId: 2,
      specialTokenIds: new Set([0, 1, 2]),
    })
  })

  test('shows one token as it stands within a sentence', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    const [id] = tokenizer.encode(' time')
    expect(tokenizer.tokenText(id!)).toBe(' time')
    expect(tokenizer.tokenText(2)).toBe('<|im_end|>')
    expect(tokenizer.tokenText(1_000_000)).toBe('')
  })

  test('shows a part of a character as U+FFFD', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    expect(tokenizer.tokenText(tokenizer.encode('🙂')[0]!)).toMatch(/^\uFFFD+$/)
  })
})

describe('what is missing', () => {
  const demo = readFileSync('models/demo/tokenizer.json', 'utf8')

  test('an empty text has no tokens and no tokens an empty text', () => {
    const { tokenizer } = loadFixture('gpt2')
    expect(tokenizer.encode('')).toEqual(new Int32Array(0))
    expect(tokenizer.decode([])).toBe('')
  })

  test('without a config there is no named token, but added ones stay special', () => {
    const tokenizer = new Tokenizer(demo)
    expect(tokenizer).toMatchObject({ bosToken: null, eosToken: null, eosTokenId: null })
    expect(tokenizer.decode([2])).toBe('')
  })

  test('tokens named by an object, or not in the vocabulary', () => {
    const config = { eos_token: { content: '<|im_end|>' }, bos_token: '<none>', pad_token: null }
    expect(new Tokenizer(demo, config)).toMatchObject({ eosTokenId: 2, bosTokenId: null })
  })

  test('extra special tokens by role', () => {
    const [id] = new Tokenizer(demo).encode(' time')
    const token = 'Ġtime'
    expect(new Tokenizer(demo, { extra_special_tokens: { clock: token } }).decode([id!])).toBe('')
    expect(new Tokenizer(demo, { additional_special_tokens: [token] }).decode([id!])).toBe('')
  })

  test('parts of tokenizer.json that the library insists on', async () => {
    const { model } = JSON.parse(demo) as { model: object }
    const tokenizer = new Tokenizer(JSON.stringify({ model }))
    const text = 'abc'.repeat(6000)
    expect(tokenizer.decode(tokenizer.encode('ab')).replaceAll(' ', '')).toBe('ab')
    expect(await tokenizer.encodeAsync(text)).toEqual(tokenizer.encode(text))
    await tokenizer.close()
  })

  test('characters that no token stands for are left out', () => {
    const model = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }
    const tokenizer = new Tokenizer(JSON.stringify({ model }))
    expect([...tokenizer.encode('a?b')]).toEqual([0, 1])
  })

  test('an unknown token that is none of the model’s own is not fused, here and in the worker', async () => {
    const model = { type: 'BPE', vocab: { a: 0 }, merges: [], unk_token: '?', fuse_unk: true }
    const added_tokens = [{ id: 1, content: '?', special: true }]
    const tokenizer = new Tokenizer(JSON.stringify({ model, added_tokens }))
    expect([...tokenizer.encode('axya')]).toEqual([0, 1, 1, 0])
    const long = 'axya'.repeat(5000)
    expect(await tokenizer.encodeAsync(long)).toEqual(tokenizer.encode(long))
    await tokenizer.close()
  })

  test('ids that stand for nothing decode to nothing', () => {
    const { tokenizer } = loadFixture('llama2')
    expect(tokenizer.decode([-1, 5000, ...tokenizer.encode('hello')])).toBe('hello')
  })
})

describe('bad files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  test('no tokenizer.json', async () => {
    await expect(Tokenizer.load('models/none')).rejects.toThrow(
      new EngineError(
        'model_not_found',
        `${join('models/none', 'tokenizer.json')} does not exist; with skipTokenizerInit the model works with token ids alone`,
      ),
    )
  })

  test.each([
    ['{', /^tokenizer\.json: .*JSON/],
    ['[]', /^tokenizer\.json: expected a JSON object$/],
    ['{}', /^tokenizer\.json: there is no model in it$/],
    ['{"model":{"type":"BPE"}}', /^tokenizer\.json: ./],
  ])('tokenizer.json holds %s', async (text, message) => {
    writeFileSync(join(folder, 'tokenizer.json'), text)
    const invalid = { name: 'EngineError', code: 'invalid_file' }
    await expect(Tokenizer.load(folder)).rejects.toMatchObject(invalid)
    await expect(Tokenizer.load(folder)).rejects.toThrow(message)
  })

  test('tokenizer_config.json is not JSON', async () => {
    writeFileSync(join(folder, 'tokenizer.json'), readFileSync('models/demo/tokenizer.json'))
    writeFileSync(join(folder, 'tokenizer_config.json'), 'nonsense')
    await expect(Tokenizer.load(folder)).rejects.toMatchObject({ code: 'invalid_file' })
  })

  test('a decoder that looks past one token', () => {
    const { model } = JSON.parse(readFileSync('models/demo/tokenizer.json', 'utf8')) as {
      model: object
    }
    const json = JSON.stringify({ model, decoder: { type: 'CTC' } })
    expect(() => new Tokenizer(json)).toThrow(
      new EngineError(
        'unsupported_model',
        'tokenizer.json: decoder CTC is not supported in this place',
      ),
    )
  })

  test('what lies behind a failure of the library is told too', () => {
    const json = JSON.parse(readFileSync('models/demo/tokenizer.json', 'utf8')) as TokenizerJson
    const model = () => {
      throw new Error('a broken model', { cause: new Error('of an unknown type') })
    }
    Object.defineProperty(json, 'model', { get: model })
    expect(() => createLibraryTokenizer(json, {})).toThrow(
      new EngineError('invalid_file', 'tokenizer.json: a broken model: of an unknown type'),
    )
  })
})

describe('the worker', () => {
  const long = 'Once upon a time '.repeat(2000)

  test('serves many texts at once, each with its own ids', async () => {
    const { tokenizer } = loadFixture('llama3')
    const texts = Array.from({ length: 5 }, (_, i) => `${i} ${long}`)
    const ids = await Promise.all(texts.map((text) => tokenizer.encodeAsync(text)))
    expect(ids).toEqual(texts.map((text) => tokenizer.encode(text)))
    await tokenizer.close()
  })

  test('leaves the event loop free while it encodes', async () => {
    const { tokenizer } = loadFixture('llama3')
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await tokenizer.encodeAsync(long.repeat(5))
    clearInterval(timer)
    expect(turns).toBeGreaterThan(1)
    await tokenizer.close()
  })

  test('rejects what it was encoding when it is closed, and every text after', async () => {
    const { tokenizer } = loadFixture('llama3')
    const closed = { code: 'closed', message: 'the tokenizer was closed' }
    const waiting = expect(tokenizer.encodeAsync(long)).rejects.toMatchObject(closed)
    await tokenizer.close()
    await waiting
    await expect(tokenizer.encodeAsync(long)).rejects.toMatchObject(closed)
    await tokenizer.close()
    expect(tokenizer.encode('time').length).toBeGreaterThan(0)
  })

  test('that dies rejects its texts, and the next text starts another', async () => {
    const source = { tokenizerJson: '{', absentParts: {}, config: {} }
    const worker = new EncodeWorker(() => source)
    await expect(worker.encode('a', true)).rejects.toThrow(SyntaxError)
    await expect(worker.encode('b', true)).rejects.toThrow(SyntaxError)
    await worker.close()
  })

  // `npm test` compiles before it runs.
  const compiled = test.skipIf(!existsSync('dist/cjs/text/tokenizer.js'))

  compiled('keeps the process until the text is encoded, and lets it end afterwards', () => {
    const program = `
      import { Tokenizer } from './dist/text/tokenizer.js'
      const tokenizer = await Tokenizer.load('models/demo')
      const ids = await tokenizer.encodeAsync('Once upon a time '.repeat(2000))
      console.log(ids.length)`
    const options = { encoding: 'utf8', timeout: 20_000 } as const
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], options)
    expect(Number(output)).toBeGreaterThan(2000)
  })

  compiled('is found from the CommonJS modules', () => {
    const program = `
      const { Tokenizer } = require('./dist/cjs/text/tokenizer.js')
      Tokenizer.load('models/demo')
        .then((tokenizer) => tokenizer.encodeAsync('Once upon a time '.repeat(2000)))
        .then((ids) => console.log(ids.length))`
    const options = { encoding: 'utf8', timeout: 20_000 } as const
    const output = execFileSync(process.execPath, ['--input-type=commonjs', '-e', program], options)
    expect(Number(output)).toBeGreaterThan(2000)
  })
})
