import { checkBoolean, checkChoice, checkInteger, checkText, type RawOptions } from '../check.js'
import type { CallOptions } from '../engine/call-options.js'
import type { EmbeddingOutput, EmbedOptions } from '../engine/embedding.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { Prompt } from '../engine/prompt.js'
import type { Pooling } from '../scheduling/sequence.js'
import { withName } from './errors.js'
import { readFields, readPrompts } from './request.js'

/** A body of /v1/embeddings, read. */
export interface EmbeddingRequest {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly inputs: readonly Prompt[]
  readonly encoding: 'float' | 'base64'
  readonly options: EmbedOptions
}

/** Fields of all that is answered from embeddings. */
export const EMBED_FIELDS = [
  ...['dimensions', 'user', 'pooling', 'add_special_tokens', 'cache_salt'],
  'truncate_prompt_tokens',
] as const

const FIELDS: ReadonlySet<string> = new Set([
  ...['model', 'input', 'encoding_format', 'normalize'],
  ...EMBED_FIELDS,
])

/**
 * Reads a body of /v1/embeddings. Throws TypeError or RangeError naming the field.
 *
 * @example
 * parseEmbeddingRequest({ input: ['a cat', 'a dog'], encoding_format: 'base64' })
 */
export function parseEmbeddingRequest(body: unknown): EmbeddingRequest {
  const given = readFields(body, '/v1/embeddings', FIELDS)
  const { model, encoding_format: encoding, normalize } = given
  return {
    model: model === undefined ? null : checkText('model', model),
    inputs: readPrompts('input', given.input, given),
    encoding: checkChoice('encoding_format', encoding ?? 'float', ['float', 'base64']),
    options: {
      ...readEmbedOptions(given),
      ...(normalize !== undefined && { normalize: checkBoolean('normalize', normalize) }),
    },
  }
}

/** How texts are embedded, as their fields say. */
export function readEmbedOptions(given: RawOptions): EmbedOptions {
  const { dimensions, pooling, truncate_prompt_tokens: truncatePromptTokens } = given
  return {
    ...(dimensions !== undefined && {
      dimensions: checkInteger('dimensions', dimensions, { min: 1 }),
    }),
    ...(pooling !== undefined && { pooling: pooling as Pooling }),
    ...(truncatePromptTokens !== undefined && {
      truncatePromptTokens: truncatePromptTokens as number,
    }),
  }
}

/** Answers a request of a model. */
export async function answerEmbedding(
  engine: Pick<LLMEngine, 'embed'>,
  { inputs, encoding, options }: EmbeddingRequest,
  model: string,
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
    model,
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
