import { EngineError } from '../errors.js'
import { inFieldNames } from './params.js'
import type { CompletionOutput, Logprob, RequestOutput, TokenLogprobs } from '../engine/outputs.js'

/** What the bodies of one answer share. */
export interface ResponseHead {
  readonly id: string
  /** The model's name as the caller knows it. */
  readonly model: string
  /** Seconds since the epoch. */
  readonly created: number
}

/** The body that /v1/completions answers: choices of the first prompt, then of the next. */
export function completionBody(head: ResponseHead, outputs: readonly RequestOutput[]) {
  const choices = outputs.flatMap((output) => output.outputs)
  return {
    ...headOf(head, 'text_completion'),
    choices: choices.map((choice, index) => ({
      index,
      text: choice.text,
      logprobs: choice.logprobs ? completionLogprobs(choice.logprobs, choice.tokenIds) : null,
      finish_reason: choice.finishReason,
      stop_reason: choice.stopReason,
    })),
    usage: usageOf(outputs),
  }
}

/** The body that /v1/chat/completions answers. */
export function chatBody(head: ResponseHead, output: RequestOutput) {
  return {
    ...headOf(head, 'chat.completion'),
    choices: output.outputs.map((choice) => ({
      index: choice.index,
      message: { role: 'assistant', content: choice.text, refusal: null },
      logprobs: choice.logprobs ? chatLogprobs(choice) : null,
      finish_reason: choice.finishReason,
      stop_reason: choice.stopReason,
    })),
    usage: usageOf([output]),
  }
}

function headOf({ id, model, created }: ResponseHead, object: string) {
  return { id, object, created, model }
}

function usageOf(outputs: readonly RequestOutput[]) {
  const sum = (count: (output: RequestOutput) => number) =>
    outputs.reduce((total, output) => total + count(output), 0)
  const prompt = sum((output) => output.promptTokenIds.length)
  const completion = sum(({ outputs }) =>
    outputs.reduce((total, { tokenIds }) => total + tokenIds.length, 0),
  )
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(({ metrics }) => metrics.cachedTokens) },
  }
}

/** The older form: parallel arrays, the most likely tokens by their text. */
function completionLogprobs(positions: readonly TokenLogprobs[], tokenIds: readonly number[]) {
  const chosen = positions.map((position, i) => position.get(tokenIds[i]!)!)
  let end = 0
  return {
    tokens: chosen.map(({ decodedToken }) => decodedToken),
    token_logprobs: chosen.map(({ logprob }) => logprob),
    top_logprobs: positions.map((position) =>
      Object.fromEntries(
        byRank(position).map(({ decodedToken, logprob }) => [decodedToken, logprob]),
      ),
    ),
    text_offset: chosen.map(
      ({ decodedToken }) => (end += decodedToken.length) - decodedToken.length,
    ),
  }
}

function chatLogprobs({ logprobs = [], tokenIds }: CompletionOutput) {
  return {
    content: logprobs.map((position, i) => ({
      ...tokenLogprob(position.get(tokenIds[i]!)!),
      top_logprobs: mostLikely(position).map(tokenLogprob),
    })),
  }
}

/** Without the chosen token where it is not one of them: then its rank leaves a gap. */
function mostLikely(position: TokenLogprobs): Logprob[] {
  return byRank(position).filter(({ rank }, index) => rank === index + 1)
}

function byRank(position: TokenLogprobs): Logprob[] {
  return [...position.values()].sort((a, b) => a.rank - b.rank)
}

function tokenLogprob({ decodedToken, logprob }: Logprob) {
  return { token: decodedToken, logprob, bytes: [...Buffer.from(decodedToken)] }
}

/** An error as OpenAI's API reports it. */
export interface OpenAiError {
  readonly status: number
  readonly body: {
    readonly error: {
      readonly message: string
      readonly type: 'invalid_request_error' | 'server_error'
      readonly param: string | null
      readonly code: string | null
    }
  }
}

/** Misuse and what has not landed are the caller's (400), anything else the server's (500). */
export function openAiError(error: unknown): OpenAiError {
  const code = error instanceof EngineError ? error.code : null
  const misuse =
    error instanceof TypeError || error instanceof RangeError || code === 'not_supported'
  const { field, message } = inFieldNames(error instanceof Error ? error.message : String(error))
  const type = misuse ? 'invalid_request_error' : 'server_error'
  const param = misuse ? field : null
  return { status: misuse ? 400 : 500, body: { error: { message, type, param, code } } }
}
