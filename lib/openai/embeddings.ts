import {
  checkBoolean,
  checkChoice,
  checkInteger,
  checkText,
  isRecord,
  wrongType,
} from '../check.js'
import type { CallOptions } from '../engine/call-options.js'
import type { EmbeddingOutput, EmbedOptions } from '../engine/embedding.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { Prompt } from '../engine/prompt.js'
import type { Pooling } from '../scheduling/sequence.js'
import { withName } from './errors.js'
import { readPrompts } from './request.js'

/** A body of /v1/embeddings, read. */
export interface EmbeddingRequest {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly inputs: readonly Prompt[]
  readonly encoding: 'float' | 'base64'
  readonly options: EmbedOptions
}

/** OpenAI's fields, then those that the engine knows. */
const FIELDS: ReadonlySet<string> = new Set([
  ...['model', 'input', 'encoding_format', 'dimensions', 'user'],
  ...['pooling', 'normalize', 'add_special_tokens', 'cache_salt'],
  'truncate_prompt_tokens',
])

/**
 * Reads a body of /v1/embeddings. Throws TypeError or RangeError naming the field.
 *
 * @example
 * parseEmbeddingRequest({ input: ['a cat', 'a dog'], encoding_format: 'base64' })
 */
export function parseEmbeddingRequest(body: unknown): EmbeddingRequest {
  if (!isRecord(body)) throw wrongType('body', 'an object', body)
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value != null))
  const unknown = Object.keys(given).find((name) => !FIELDS.has(name))
  if (unknown !== undefined) throw new TypeError(`${unknown}: /v1/embeddings has no such field`)
  const { model, encoding_format: encoding, dimensions, pooling, normalize } = given
  const { truncate_prompt_tokens: truncatePromptTokens } = given
  return {
    model: model === undefined ? null : checkText('model', model),
    inputs: readPrompts('input', given.input, given),
    encoding: checkChoice('encoding_format', encoding ?? 'float', ['float', 'base64']),
    options: {
      ...(dimensions !== undefined && {
        dimensions: checkInteger('dimensions', dimensions, { min: 1 }),
      }),
      ...(pooling !== undefined && { pooling: pooling as Pooling }),
      ...(truncatePromptTokens !== undefined && {
        truncatePromptTokens: truncatePromptTokens as number,
      }),
      ...(normalize !== undefined && { normalize: checkBoolean('normalize', normalize) }),
    },
  }
}

/** Answers a request; the model is called as the request calls it, or by `servedName`. */
export async function answerEmbedding(
  engine: Pick<LLMEngine, 'embed'>,
  { model, inputs, encoding, options }: EmbeddingRequest,
  servedName: string,
  call: CallOptions,
): Promise<object> {
  const outputs = await engine.embed(inputs, { ...options, ...call }).catch((error: unknown) => {
    throw withName(error, /^prompt(\.promptTokenIds)?/, 'input')
  })
  const tokens = outputs.reduce((sum, { promptTokenIds }) => sum + promptTokenIds.length, 0)
  return {
    object: 'list',
    data: outputs.map((output, index) => ({
      object: 'embedding',
      index,
      embedding: encode(output, encoding),
    })),
    model: model ?? servedName,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  }
}

/** Numbers, or their float32 bytes, the lowest first. */
function encode({ embedding }: EmbeddingOutput, encoding: 'float' | 'base64') {
  if (encoding === 'float') return [...embedding]
  const bytes = Buffer.alloc(4 * embedding.length)
  embedding.forEach((x, i) => bytes.writeFloatLE(x, 4 * i))
  return bytes.toString('base64')
}
