import { join } from 'node:path'
import { readBytePairFiles } from './byte-pair-files.js'
import { loadTokenizerConfig, readIfThere, type TokenizerSource } from './tokenizer-files.js'

/**
 * The tokenizer of a model folder: its tokenizer.json, or one made of GPT-2's files; null where it has
 * neither. Throws as {@link readBytePairFiles} does.
 */
export async function folderTokenizer(folder: string): Promise<TokenizerSource | null> {
  const [tokenizerJson, config] = await Promise.all([
    readIfThere(join(folder, 'tokenizer.json')),
    loadTokenizerConfig(folder),
  ])
  return tokenizerJson === null ? readBytePairFiles(folder, config) : { tokenizerJson, config }
}
