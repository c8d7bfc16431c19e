import { join } from 'node:path'
import { EngineError } from '../errors.js'
import { contentOf, readIfThere, readObject } from './tokenizer-files.js'
import type { AddedToken, TokenizerConfig, TokenizerSource } from './tokenizer-files.js'
import { BYTE_LEVEL, BYTE_PAIRS, type Merge, splitMerges, surroundings } from './tokenizer-parts.js'

/** What tokenizers of GPT-2's kind begin, end and do not know with, unless a file says otherwise. */
const END_OF_TEXT = '<|endoftext|>'
const DEFAULTS = { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT }
const CLASSES = ['GPT2Tokenizer', 'GPT2TokenizerFast']

/**
 * The tokenizer of a folder that has GPT-2's vocab.json and merges.txt in place of a tokenizer.json, as
 * OPT's and DialoGPT's have; null without them. Throws EngineError `unsupported_model` where another
 * kind of tokenizer was made of them, `invalid_file` where they do not fit.
 */
export async function readBytePairFiles(
  folder: string,
  stated: TokenizerConfig,
): Promise<TokenizerSource | null> {
  const path = join(folder, 'vocab.json')
  const [vocabulary, merges, names, added] = await Promise.all([
    readObject(path),
    readIfThere(join(folder, 'merges.txt')),
    readObject(join(folder, 'special_tokens_map.json')),
    readObject(join(folder, 'added_tokens.json')),
  ])
  if (vocabulary === null || merges === null) return null
  checkClass(stated.tokenizer_class, path)
  const config = { ...DEFAULTS, ...names, ...stated }
  const ids = new Map(Object.entries({ ...vocabulary, ...added }) as [string, number][])
  for (const [token, id] of ids) {
    if (!Number.isSafeInteger(id) || id < 0)
      throw new EngineError(
        'invalid_file',
        `${path}: expected an id for ${JSON.stringify(token)}, found ${JSON.stringify(id)}`,
      )
  }
  const byteLevel = { ...BYTE_LEVEL, add_prefix_space: config.add_prefix_space === true }
  const special = specialTokens(config).filter((token) => ids.has(token))
  const begin = config.add_bos_token === true ? contentOf(config.bos_token) : null
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...new Set([...special, ...Object.keys(added ?? {})])].map((content) =>
      addedToken(ids.get(content)!, content, special.includes(content)),
    ),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: surroundings(begin, null, (token) => ids.get(token)!),
    decoder: byteLevel,
    model: {
      ...BYTE_PAIRS,
      vocab: vocabulary,
      merges: mergesOf(merges, join(folder, 'merges.txt')),
    },
  }
  return { tokenizerJson: json, config }
}

function checkClass(name: unknown, path: string): void {
  if (name === undefined || name === null || CLASSES.includes(name as string)) return
  throw new EngineError(
    'unsupported_model',
    `${path}: of tokenizer_class ${JSON.stringify(name)} a tokenizer.json is needed; vocab.json and merges.txt alone are enough for ${CLASSES.join(', ')}`,
  )
}

function mergesOf(text: string, path: string): readonly Merge[] {
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  const merges = lines[0]?.startsWith('#version') === true ? lines.slice(1) : lines
  return splitMerges(merges, path)
}

function specialTokens(config: TokenizerConfig): readonly string[] {
  const { bos_token, eos_token, unk_token, pad_token, additional_special_tokens } = config
  return [bos_token, eos_token, unk_token, pad_token, ...(additional_special_tokens ?? [])]
    .map(contentOf)
    .filter((token) => token !== null)
}

function addedToken(id: number, content: string, special: boolean): AddedToken {
  return {
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special,
  }
}
