import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '../../lib/text/tokenizer.js'

/** A small tokenizer of each common kind. */
export const kinds = ['gemma', 'gpt2', 'llama2', 'llama3', 'qwen2', 'unigram'] as const

export interface ReferenceString {
  readonly text: string
  readonly ids: number[]
  readonly idsWithSpecial: number[]
  readonly decoded: string
  readonly decodedSkipSpecial: string
}

/** A fixture's tokenizer.json and its strings with their ids and texts. */
export function loadFixture(kind: (typeof kinds)[number]) {
  const folder = join('test/fixtures/tokenizers', kind)
  const json = readFileSync(join(folder, 'tokenizer.json'), 'utf8')
  const strings = JSON.parse(
    readFileSync(join(folder, 'strings.json'), 'utf8'),
  ) as ReferenceString[]
  return { json, strings, tokenizer: new Tokenizer(json) }
}

const folder = process.env.OCTAVO_SMOLLM2_HF ?? 'models/smollm2'

/** The folder of SmolLM2 in Hugging Face form; null where it is absent. */
export const smollm2 = existsSync(join(folder, 'tokenizer.json')) ? folder : null
if (smollm2 === null) console.warn(`SmolLM2 is absent from ${folder}: its tests are skipped`)

export const smollm2Strings = JSON.parse(
  readFileSync('test/fixtures/smollm2-tokens.json', 'utf8'),
) as { readonly text: string; readonly ids: number[] }[]
