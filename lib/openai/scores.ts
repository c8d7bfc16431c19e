import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkText,
  isRecord,
  outOfRange,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { CallOptions } from '../engine/call-options.js'
import type { EmbeddingOutput, EmbedOptions } from '../engine/embedding.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { Prompt } from '../engine/prompt.js'
import { newId } from '../new-id.js'
import { EMBED_FIELDS, readEmbedOptions } from './embeddings.js'
import { withName } from './errors.js'
import { readFields, readPrompts } from './request.js'

/** Texts that are compared with others: those at the same places, or one with all. */
interface Comparison {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly ones: readonly Prompt[]
  readonly others: readonly Prompt[]
  readonly options: EmbedOptions
}

/** A body of /v1/score, read. */
export type ScoreRequest = Comparison

/** A body of /v1/rerank, read: one query, and documents, the best of which come first. */
export interface RerankRequest extends Comparison {
  readonly documents: readonly string[]
  /** Documents that are given. */
  readonly most: number
  readonly returnsDocuments: boolean
}

const SCORE_FIELDS: ReadonlySet<string> = new Set(['model', 'text_1', 'text_2', ...EMBED_FIELDS])
const RERANK_FIELDS: ReadonlySet<string> = new Set([
  ...['model', 'query', 'documents', 'top_n', 'return_documents'],
  ...EMBED_FIELDS,
])

/**
 * Reads a body of /v1/score. Throws TypeError or RangeError naming the field.
 *
 * @example
 * parseScoreRequest({ text_1: 'a cat', text_2: ['a kitten', 'a car'] })
 */
export function parseScoreRequest(body: unknown): ScoreRequest {
  const given = readFields(body, '/v1/score', SCORE_FIELDS)
  const ones = readPrompts('text_1', given.text_1, given)
  const others = readPrompts('text_2', given.text_2, given)
  if (ones.length !== 1 && ones.length !== others.length)
    throw outOfRange('text_1', `one text, or as many as text_2 has (${others.length})`, ones.length)
  return { ...shared(given), ones, others }
}

/**
 * Reads a body of /v1/rerank. Throws TypeError or RangeError naming the field.
 *
 * @example
 * parseRerankRequest({ query: 'a cat', documents: ['a kitten', 'a car'], top_n: 1 })
 */
export function parseRerankRequest(body: unknown): RerankRequest {
  const given = readFields(body, '/v1/rerank', RERANK_FIELDS)
  const query = checkText('query', given.query)
  const documents = checkArray('documents', given.documents, readDocument)
  const top = checkInteger('top_n', given.top_n ?? 0, { min: 0 })
  return {
    ...shared(given),
    ones: readPrompts('query', query, given),
    others: readPrompts('documents', documents, given),
    documents,
    most: top === 0 ? documents.length : top,
    returnsDocuments: checkBoolean('return_documents', given.return_documents ?? true),
  }
}

function shared(given: RawOptions): Pick<Comparison, 'model' | 'options'> {
  const { model } = given
  return {
    model: model === undefined ? null : checkText('model', model),
    options: readEmbedOptions(given),
  }
}

/** A text, alone or as `{ text }`. */
function readDocument(name: string, document: unknown): string {
  if (typeof document === 'string') return document
  if (isRecord(document)) return checkText(`${name}.text`, document.text)
  throw wrongType(name, 'a string or { text }', document)
}

/** Scores by the cosine of embeddings, from −1 to 1. */
export async function answerScore(
  engine: Pick<LLMEngine, 'embed'>,
  request: ScoreRequest,
  model: string,
  call: CallOptions,
): Promise<object> {
  const { scores, usage } = await compare(engine, request, ['text_1', 'text_2'], call)
  return {
    id: newId('score-'),
    object: 'list',
    created: Math.floor(Date.now() / 1000),
    model,
    data: scores.map((score, index) => ({ index, object: 'score', score })),
    usage,
  }
}

/** The same, the best documents first. */
export async function answerRerank(
  engine: Pick<LLMEngine, 'embed'>,
  request: RerankRequest,
  model: string,
  call: CallOptions,
): Promise<object> {
  const { documents, most, returnsDocuments } = request
  const { scores, usage } = await compare(engine, request, ['query', 'documents'], call)
  const results = scores.map((score, index) => ({
    index,
    ...(returnsDocuments && { document: { text: documents[index]! } }),
    relevance_score: score,
  }))
  return {
    id: newId('rerank-'),
    model,
    results: results.sort((a, b) => b.relevance_score - a.relevance_score).slice(0, most),
    usage,
  }
}

async function compare(
  engine: Pick<LLMEngine, 'embed'>,
  { ones, others, options }: Comparison,
  [one, other]: readonly [string, string],
  call: CallOptions,
) {
  const embed = (field: string, texts: readonly Prompt[]) =>
    engine.embed(texts, { ...options, normalize: true, ...call }).catch((error: unknown) => {
      throw withName(error, /^prompt(\.promptTokenIds)?/, field)
    })
  const [a, b] = await Promise.all([embed(one, ones), embed(other, others)])
  const tokens = [...a, ...b].reduce((sum, { promptTokenIds }) => sum + promptTokenIds.length, 0)
  return {
    scores: b.map((embedded, i) => product(a.length === 1 ? a[0]! : a[i]!, embedded)),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  }
}

/** Of vectors of length 1 it is the cosine. */
function product({ embedding: a }: EmbeddingOutput, { embedding: b }: EmbeddingOutput): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0)
}
