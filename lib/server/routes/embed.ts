import { answerEmbedding, parseEmbeddingRequest } from '../../openai/embeddings.js'
import {
  answerRerank,
  answerScore,
  parseRerankRequest,
  parseScoreRequest,
} from '../../openai/scores.js'
import { answering } from '../answering.js'
import { json, type Reply } from '../exchange.js'
import { readJson } from '../read-body.js'
import { checkMost, type Exchange, type Route } from '../router.js'

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
  checkTexts(exchange, { input: request.inputs })
  const { engine, model, call } = answering(exchange, request.model)
  return json(200, await answerEmbedding(engine, request, model, call))
}

async function score(exchange: Exchange): Promise<Reply> {
  const request = parseScoreRequest(await bodyOf(exchange))
  const { ones, others } = request
  checkTexts(exchange, { text_1: ones, text_2: others })
  const { engine, model, call } = answering(exchange, request.model)
  return json(200, await answerScore(engine, request, model, call))
}

async function rerank(exchange: Exchange): Promise<Reply> {
  const request = parseRerankRequest(await bodyOf(exchange))
  checkTexts(exchange, { documents: request.others })
  const { engine, model, call } = answering(exchange, request.model)
  return json(200, await answerRerank(engine, request, model, call))
}

function bodyOf({ incoming, context }: Exchange): Promise<unknown> {
  return readJson(incoming, context.config.maxBodyBytes)
}

/** Throws RangeError where a field has too many texts. */
function checkTexts(
  { context }: Exchange,
  texts: Readonly<Record<string, readonly unknown[]>>,
): void {
  for (const [field, { length }] of Object.entries(texts))
    checkMost(field, length, context.config.maxPrompts)
}
