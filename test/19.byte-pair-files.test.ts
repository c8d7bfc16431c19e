import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { loadFixture } from './helpers/tokenizers.js'
import { temporaryFolder } from './support/files.js'

interface BytePairs {
  readonly model: {
    readonly vocab: Readonly<Record<string, number>>
    readonly merges: readonly (readonly [string, string])[]
  }
}

const { json, strings } = loadFixture('gpt2')
const { vocab, merges } = (JSON.parse(json) as BytePairs).model
const CHAT = { '<|im_start|>': 707, '<|im_end|>': 708, '<tool>': 709 }
const SPECIAL = {
  ...{ unk_token: '<unk>', bos_token: { content: '<s>' }, eos_token: '</s>' },
  additional_special_tokens: ['<|im_start|>', '<|im_end|>'],
}

/** The fixture's tokenizer as GPT-2's files have it; `files` beside them, or in their place. */
function folderOf(files: Readonly<Record<string, unknown>>): string {
  const folder = temporaryFolder()
  const lines = ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), '']
  const all = { 'vocab.json': vocab, 'merges.txt': lines.join('\n'), ...files }
  for (const [name, content] of Object.entries(all))
    writeFileSync(
      join(folder, name),
      typeof content === 'string' ? content : JSON.stringify(content),
    )
  return folder
}

test.each([
  ['tokenizer_config.json', { 'tokenizer_config.json': SPECIAL }],
  ['special_tokens_map.json', { 'special_tokens_map.json': SPECIAL }],
])('special tokens of %s: ids and texts are those of the reference', async (_, files) => {
  const tokenizer = await Tokenizer.load(folderOf({ 'added_tokens.json': CHAT, ...files }))
  for (const { text, ids, decoded, decodedSkipSpecial } of strings) {
    expect([...tokenizer.encode(text)], text).toEqual(ids)
    expect(tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(decoded)
    expect(tokenizer.decode(ids)).toBe(decodedSkipSpecial)
  }
  await tokenizer.close()
})

test('add_bos_token begins a text, as OPT has it', async () => {
  const config = { ...SPECIAL, tokenizer_class: 'GPT2Tokenizer', add_bos_token: true }
  const tokenizer = await Tokenizer.load(folderOf({ 'tokenizer_config.json': config }))
  const plain = [...tokenizer.encode('hello', { addSpecialTokens: false })]
  expect([...tokenizer.encode('hello')]).toEqual([vocab['<s>'], ...plain])
  await tokenizer.close()
})

test('files that name no tokens have those of GPT-2', async () => {
  const words = { ...vocab, '<|endoftext|>': 707 }
  const tokenizer = await Tokenizer.load(folderOf({ 'vocab.json': words }))
  expect(tokenizer.eosTokenId).toBe(707)
  expect([...tokenizer.encode('<|endoftext|>')]).toEqual([707])
  expect(tokenizer.decode([707])).toBe('')
  await tokenizer.close()
})

test.each([
  [
    { 'tokenizer_config.json': { tokenizer_class: 'Qwen2Tokenizer' } },
    /tokenizer_class "Qwen2Tokenizer" a tokenizer.json is needed/,
  ],
  [{ 'vocab.json': { a: -1 } }, /vocab\.json: expected an id for "a", found -1$/],
  [{ 'merges.txt': '#version: 0.2\nab\n' }, /merges\.txt: expected two tokens, found "ab"$/],
  [{ 'vocab.json': '[]' }, /vocab\.json: expected a JSON object$/],
])('%o is refused', async (files, message) => {
  await expect(Tokenizer.load(folderOf(files))).rejects.toThrow(message)
})
