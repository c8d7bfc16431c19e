import { join } from 'node:path'
import { Fields } from '../models/fields.js'
import type { ModelConfig } from '../models/config.js'
import type { Tokenizer } from '../text/tokenizer.js'
import type { ModelFolder } from '../weights/model-folder.js'

/**
 * The tokens that end an output: generation_config.json's where it names any, else config.json's;
 * and the tokenizer's end token in each case.
 */
export function endTokenIds(
  folder: ModelFolder,
  model: ModelConfig,
  tokenizer: Tokenizer | null,
): readonly number[] {
  const { generationConfig, path } = folder
  const generation =
    generationConfig === null
      ? []
      : new Fields(generationConfig, join(path, 'generation_config.json')).ids('eos_token_id')
  const named = generation.length > 0 ? generation : model.eosTokenIds
  const own = tokenizer?.eosTokenId ?? null
  return [...new Set(own === null ? named : [...named, own])]
}
