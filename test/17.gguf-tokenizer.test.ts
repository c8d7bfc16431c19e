import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ggufTokenizer } from '../lib/text/gguf-tokenizer.js'
import { mergesOfScores } from '../lib/text/sentencepiece-merges.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { readGguf } from '../lib/weights/gguf.js'
import { kinds, loadFixture, smollm2Strings } from './helpers/tokenizers.js'
import { temporaryFolder } from './support/files.js'
import { ggufFile, type MetadataValue } from './support/gguf.js'
import { SMOLLM2_GGUF } from './support/models.js'

type Metadata = Readonly<Record<string, MetadataValue>>

interface TokenizerJson {
  readonly model: {
    readonly vocab: Record<string, number>
    readonly merges: readonly (string | readonly [string, string])[]
  }
  readonly added_tokens: readonly { id: number; content: string; special: boolean }[]
}

type Kind = (typeof kinds)[number]
/** Unigram is not what generative models in GGUF have. */
const converted = kinds.filter((kind) => kind !== 'unigram')
const PRE: Readonly<Record<string, string>> = { gpt2: 'gpt-2', llama3: 'llama-bpe', qwen2: 'qwen2' }

/** A tokenizer.json's parts as llama.cpp's converter writes them. */
function metadataOf(kind: Kind): Metadata {
  const json = JSON.parse(loadFixture(kind).json) as TokenizerJson
  const { model, added_tokens } = json
  const merges = model.merges.map((m) => (typeof m === 'string' ? m : m.join(' ')))
  const tokens: string[] = []
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token
  for (const { content, id } of added_tokens) tokens[id] = content
  const special = new Set(added_tokens.map(({ id }) => id))
  const rank = new Map(merges.map((merge, i) => [merge.replace(' ', ''), i]))
  const scores = tokens.map((token) => -(rank.get(token) ?? merges.length) - 0.5)
  const type = (token: string, id: number): number =>
    special.has(id) ? 3 : /^<0x[0-9A-F]{2}>$/.test(token) ? 6 : 1
  const spaces = kind === 'llama2' || kind === 'gemma'
  return {
    'tokenizer.ggml.model': spaces ? 'llama' : 'gpt2',
    'tokenizer.ggml.pre': PRE[kind] ?? 'default',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.scores': scores,
    'tokenizer.ggml.token_type': tokens.map(type),
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.add_bos_token': spaces,
    'tokenizer.ggml.add_eos_token': false,
    ...(kind === 'gemma' && { 'tokenizer.ggml.add_space_prefix': false }),
  }
}

async function tokenizerOf(metadata: Metadata): Promise<Tokenizer> {
  const path = join(temporaryFolder(), 'model.gguf')
  writeFileSync(path, ggufFile({ 'general.architecture': 'llama', ...metadata }, []))
  const { tokenizerJson, config } = ggufTokenizer(await readGguf(path))
  return new Tokenizer(tokenizerJson, config)
}

describe.each(converted)('%s from a GGUF file', (kind) => {
  const { strings } = loadFixture(kind)

  test('encodes and decodes as the reference', async () => {
    const tokenizer = await tokenizerOf(metadataOf(kind))
    for (const { text, ids, idsWithSpecial, decoded } of strings) {
      expect([...tokenizer.encode(text, { addSpecialTokens: false })], text).toEqual(ids)
      expect([...tokenizer.encode(text)], text).toEqual(idsWithSpecial)
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded)
    }
  })
})

describe('what a file says beside its tokens', () => {
  const gpt2 = metadataOf('gpt2')

  test('names the begin and end tokens, and adds them where the file says so', async () => {
    const plain = await tokenizerOf(gpt2)
    expect(plain).toMatchObject({ bosTokenId: 1, eosTokenId: 2, bosToken: '<s>' })
    const flags = { 'tokenizer.ggml.add_bos_token': true, 'tokenizer.ggml.add_eos_token': true }
    const framed = await tokenizerOf({ ...gpt2, ...flags })
    const ids = [...plain.encode('hello')]
    expect([...framed.encode('hello')]).toEqual([1, ...ids, 2])
  })

  test('begins Llama 3 texts with the begin token though the file is silent', async () => {
    const { 'tokenizer.ggml.add_bos_token': _, ...silent } = metadataOf('llama3')
    expect((await tokenizerOf(silent)).encode('hello')[0]).toBe(1)
  })

  test('keeps user-defined tokens whole, and in the text', async () => {
    const { 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types } = gpt2
    const tokenizer = await tokenizerOf({
      ...gpt2,
      'tokenizer.ggml.tokens': [...(tokens as string[]), '<think>'],
      'tokenizer.ggml.token_type': [...(types as number[]), 4],
      'tokenizer.ggml.scores': [],
    })
    const id = tokenizer.vocabSize - 1
    expect([...tokenizer.encode('<think>')]).toEqual([id])
    expect(tokenizer.decode([id])).toBe('<think>')
  })

  test.each<[string, Metadata, string]>([
    ['another kind', { 'tokenizer.ggml.model': 'bert' }, 'tokenizer.ggml.model bert is not sup'],
    ['another pre-tokenizer', { 'tokenizer.ggml.pre': 'new' }, 'tokenizer.ggml.pre "new" is not'],
    ['types that do not fit', { 'tokenizer.ggml.token_type': [1] }, 'must have one value for each'],
    ['no tokens', { 'tokenizer.ggml.tokens': [] }, 'tokenizer.ggml.tokens is missing'],
    ['a merge of one', { 'tokenizer.ggml.merges': ['ab'] }, 'expected two tokens, found "ab"'],
    ['a token beyond', { 'tokenizer.ggml.bos_token_id': 9999 }, 'bos_token_id must be below'],
  ])('refuses %s', async (_, changes, message) => {
    await expect(tokenizerOf({ ...gpt2, ...changes })).rejects.toThrow(message)
  })
})

test('merges tokens by score, of equal ones the longer left half first', () => {
  const tokens = ['a', 'b', 'ab', 'abb', 'bb']
  const merges = mergesOfScores(tokens, [0, 0, -2, -1, -2])
  expect(merges).toEqual([
    ['ab', 'b'],
    ['a', 'bb'],
    ['a', 'b'],
    ['b', 'b'],
  ])
})

describe.skipIf(SMOLLM2_GGUF === null)('SmolLM2 from its GGUF file', () => {
  test('encodes every reference string to the same ids', async () => {
    const { tokenizerJson, config } = ggufTokenizer(await readGguf(SMOLLM2_GGUF!))
    const tokenizer = new Tokenizer(tokenizerJson, config)
    for (const { text, ids } of smollm2Strings) {
      expect([...tokenizer.encode(text)], text).toEqual(ids)
      expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(text)
    }
    expect(tokenizer).toMatchObject({ vocabSize: 49_152, eosToken: '<|im_end|>' })
    expect(config.chat_template).toContain('<|im_start|>')
  })
})
