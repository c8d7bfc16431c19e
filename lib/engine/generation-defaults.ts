import { join } from 'node:path'
import { EngineError } from '../errors.js'
import { Fields } from '../models/fields.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { ModelFolder } from '../weights/model-folder.js'
import { resolveSamplingParams } from './check-sampling.js'

/** Fields of generation_config.json that vLLM takes, by the options that they stand for. */
const FIELDS = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
  max_new_tokens: 'maxTokens',
} as const satisfies Record<string, keyof SamplingOptions>

/** What a model's generation_config.json says of options that requests leave out. */
export type GenerationDefaults = Pick<SamplingOptions, (typeof FIELDS)[keyof typeof FIELDS]>

const ANY_MODEL = {
  ...{ vocabSize: 2 ** 31, maxLogprobs: -1, maxNumSeqs: 1, hasTokenizer: true },
  defaultMaxTokens: null,
}

/** Reads them. Throws EngineError `invalid_file` naming the file and the field. */
export function generationDefaults({ generationConfig, path }: ModelFolder): GenerationDefaults {
  if (generationConfig === null) return {}
  const fields = new Fields(generationConfig, join(path, 'generation_config.json'))
  const given = Object.entries(FIELDS).filter(([field]) => fields.has(field))
  return Object.fromEntries(given.map(([field, option]) => [option, read(fields, field, option)]))
}

function read(fields: Fields, field: string, option: keyof GenerationDefaults): number {
  const value = fields.number(field)
  try {
    resolveSamplingParams({ [option]: value }, ANY_MODEL)
    return value
  } catch (cause) {
    const reason = (cause as Error).message.replace(option, field)
    const message = `${fields.where}: ${reason}; generationConfig 'vllm' passes it by`
    throw new EngineError('invalid_file', message, { cause })
  }
}

/** One line of what they are, such as `temperature 0.6, topP 0.9`; '' for none. */
export function describeDefaults(defaults: GenerationDefaults): string {
  return Object.entries(defaults)
    .map(([option, value]) => `${option} ${value}`)
    .join(', ')
}
