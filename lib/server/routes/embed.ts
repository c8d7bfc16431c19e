import { answerEmbedding, parseEmbeddingRequest } from '../../openai/embeddings.js'
import { checkServedModel } from '../../openai/request.js'
import {
  answerRerank,
  answerScore,
  parseRerankRequest,
  parseScoreRequest,
} from '../../openai/scores.js'
import { json, type Reply } from '../exchange.js'
import { readJson } from '../read-body.js'
import { callOptions, checkMost, type Exchange, type Route } from '../router.js'

/** Embeddings, and what is told from them: how alike texts are. The paths are vLLM's. */
export const embedRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/embeddings', answer: embed },
  ...['/score', '/v1/score'].map((path): Route => ({ method: 'POST', path, answer: score })),
  ...['/rerank', '/v1/rerank', '/v2/rerank'].map((path): Route => ({
    method: 'POST',
    path,
    answer: rerank,
  })),
]

async function embed(exchange: Exchange): Promise<Reply> {
  const request = parseEmbeddingRequest(await bodyOf(exchange))
  const { engine, name, call } = answering(exchange, request.model, { input: request.inputs })
  return json(200, await answerEmbedding(engine, request, name, call))
}

async function score(exchange: Exchange): Promise<Reply> {
  const request = parseScoreRequest(await bodyOf(exchange))
  const { ones, others } = request
  const texts = { text_1: ones, text_2: others }
  const { engine, name, call } = answering(exchange, request.model, texts)
  return json(200, await answerScore(engine, request, name, call))
}

async function rerank(exchange: Exchange): Promise<Reply> {
  const request = parseRerankRequest(await bodyOf(exchange))
  const texts = { documents: request.others }
  const { engine, name, call } = answering(exchange, request.model, texts)
  return json(200, await answerRerank(engine, request, name, call))
}

function bodyOf({ incoming, context }: Exchange): Promise<unknown> {
  return readJson(incoming, context.config.maxBodyBytes)
}

/** What answers a request for a model. Throws where another is served, or where a field has too many texts. */
function answering(
  exchange: Exchange,
  model: string | null,
  texts: Readonly<Record<string, readonly unknown[]>>,
) {
  const { context, notes } = exchange
  const { config, modelNames } = context
  checkServedModel(model, modelNames)
  for (const [field, { length }] of Object.entries(texts))
    checkMost(field, length, config.maxPrompts)
  const name = modelNames[0]!
  const engine = notes.watch(context.engine, model ?? name)
  return { engine, name, call: callOptions(exchange) }
}
