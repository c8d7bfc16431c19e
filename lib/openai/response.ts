import type { CompletionOutput, OutputDelta, RequestOutput } from '../engine/outputs.js'
import type { FinishReason } from '../scheduling/sequence.js'
import type { Reply } from '../text/reply-parser.js'
import { toolCallTurn } from '../text/tool-call-turn.js'
import type { ChatRequest, CompletionRequest, OpenAiRequest } from './request.js'
import { chatLogprobs, completionLogprobs, echoLogprobs, promptLogprobs } from './logprobs.js'

/** What the bodies of one answer share. */
export interface ResponseHead {
  readonly id: string
  /** The model's name as the caller knows it. */
  readonly model: string
  /** Seconds since the epoch. */
  readonly created: number
}

/** The head of a new answer of a model. */
export function newHead(
  { endpoint, requestId }: OpenAiRequest,
  model: string,
  id = requestId ?? crypto.randomUUID(),
): ResponseHead {
  const prefix = endpoint === '/v1/completions' ? 'cmpl' : 'chatcmpl'
  const created = Math.floor(Date.now() / 1000)
  return { id: `${prefix}-${id}`, model, created }
}

/** How a body shows the prompt before each output. */
export interface Echo {
  textOf(output: RequestOutput): string
  tokenText(tokenId: number): string
}

/** The body that /v1/completions answers: choices of the first prompt, then of the next. */
export function completionBody(
  head: ResponseHead,
  { returnTokenIds }: Pick<CompletionRequest, 'returnTokenIds'>,
  outputs: readonly RequestOutput[],
  echo: Echo | null = null,
) {
  const choices = outputs.flatMap((output) =>
    output.outputs.map((choice) => ({
      ...completionChoice(output, choice, echo),
      ...(returnTokenIds && {
        token_ids: choice.tokenIds,
        prompt_token_ids: output.promptTokenIds,
      }),
    })),
  )
  return {
    ...headOf(head, 'text_completion'),
    choices: choices.map((choice, index) => ({ index, ...choice })),
    usage: usageOf(outputs),
  }
}

/** What is told of an output, or its only delta, when the one token that the engine drew was not asked for. */
export function withoutDraw<T extends OutputDelta | CompletionOutput>(drawn: T): T {
  const { logprobs, finishReason } = drawn
  return {
    ...{ ...drawn, text: '', tokenIds: [], stopReason: null },
    ...(logprobs && { logprobs: [] }),
    finishReason: finishReason === 'stop' ? 'length' : finishReason,
  }
}

function completionChoice(output: RequestOutput, choice: CompletionOutput, echo: Echo | null) {
  return {
    text: (echo?.textOf(output) ?? '') + choice.text,
    logprobs: choice.logprobs ? logprobsOf(output, choice, echo) : null,
    finish_reason: choice.finishReason,
    stop_reason: choice.stopReason,
    ...promptLogprobsOf(output),
  }
}

function logprobsOf(output: RequestOutput, choice: CompletionOutput, echo: Echo | null) {
  const { promptLogprobs: scored = [], promptTokenIds } = output
  if (echo === null) return completionLogprobs(choice)
  return echoLogprobs(scored, promptTokenIds, (id) => echo.tokenText(id), choice)
}

/** The body that /v1/chat/completions answers; `parse` takes the model's text apart. */
export function chatBody(
  head: ResponseHead,
  { params, returnTokenIds }: Pick<ChatRequest, 'params' | 'returnTokenIds'>,
  output: RequestOutput,
  parse: (text: string) => Reply,
) {
  return {
    ...headOf(head, 'chat.completion'),
    choices: output.outputs.map((choice) => ({
      ...chatChoice(choice, parse(choice.text), params.logprobs ?? 0),
      ...(returnTokenIds && { token_ids: choice.tokenIds }),
    })),
    usage: usageOf([output]),
    ...promptLogprobsOf(output),
    ...(returnTokenIds && { prompt_token_ids: output.promptTokenIds }),
  }
}

function chatChoice(
  choice: CompletionOutput,
  { content, reasoning, toolCalls }: Reply,
  topLogprobs: number,
) {
  const called = toolCalls.length > 0
  return {
    index: choice.index,
    message: {
      role: 'assistant',
      content: called && content === '' ? null : content,
      refusal: null,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(called && { tool_calls: toolCalls.map(toolCallTurn) }),
    },
    logprobs: choice.logprobs ? chatLogprobs(choice, topLogprobs) : null,
    finish_reason: chatFinishReason(choice.finishReason, called),
    stop_reason: choice.stopReason,
  }
}

export function chatFinishReason(
  reason: FinishReason | null,
  called: boolean,
): FinishReason | 'tool_calls' | null {
  return called && reason === 'stop' ? 'tool_calls' : reason
}

export function headOf({ id, model, created }: ResponseHead, object: string) {
  return { id, object, created, model }
}

function promptLogprobsOf({ promptLogprobs: positions }: RequestOutput) {
  return positions && { prompt_logprobs: promptLogprobs(positions) }
}

/** Tokens that a caller is told of, and may be charged for. */
export interface TokenCounts {
  readonly prompt: number
  readonly completion: number
  readonly cached: number
}

export function countTokens(outputs: readonly RequestOutput[]): TokenCounts {
  const sum = (count: (output: RequestOutput) => number) =>
    outputs.reduce((total, output) => total + count(output), 0)
  return {
    prompt: sum((output) => output.promptTokenIds.length),
    completion: sum(({ outputs }) =>
      outputs.reduce((total, { tokenIds }) => total + tokenIds.length, 0),
    ),
    cached: sum(({ metrics }) => metrics.cachedTokens),
  }
}

export function usageBody({ prompt, completion, cached }: TokenCounts) {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  }
}

function usageOf(outputs: readonly RequestOutput[]) {
  return usageBody(countTokens(outputs))
}
