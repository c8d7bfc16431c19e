import type { OutputDelta, RequestOutput } from '../engine/outputs.js'
import { chatLogprobs, completionLogprobs, echoLogprobs } from './logprobs.js'
import type { ChatReplyReader } from './reply-reader.js'
import {
  chatFinishReason,
  headOf,
  usageBody,
  type Echo,
  type ResponseHead,
  type TokenCounts,
} from './response.js'
import { DONE } from './streamed-answer.js'
import { toolCallTurn } from '../text/tool-call-turn.js'

export interface ChunkOptions {
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
}

/** What each chunk of a choice tells. */
export interface ChoiceOptions {
  readonly index: number
  readonly returnTokenIds: boolean
}

/** Counts the tokens of a stream, and writes choices as events of one chunk each. */
export class ChunkWriter {
  /** An event as far as its choices: the same text in each. */
  readonly #begin: string
  readonly #options: ChunkOptions
  /** What the next event has beside its choices. */
  #beside = ''
  #prompt = 0
  #completion = 0
  #cached = 0

  constructor(head: ResponseHead, object: string, options: ChunkOptions) {
    this.#begin = `data: ${JSON.stringify(headOf(head, object)).slice(0, -1)},"choices":[`
    this.#options = options
  }

  get tokens(): TokenCounts {
    return { prompt: this.#prompt, completion: this.#completion, cached: this.#cached }
  }

  addPrompt({ promptTokenIds, metrics }: RequestOutput): void {
    this.#prompt += promptTokenIds.length
    this.#cached += metrics.cachedTokens
  }

  /** Fields that the next event has beside its choices, that one alone. */
  tellOnce(fields: object): void {
    this.#beside = `,${JSON.stringify(fields).slice(1, -1)}`
  }

  addTokens(count: number): void {
    this.#completion += count
  }

  write(choice: object): string {
    return this.#event(JSON.stringify(choice), this.#options.continuousUsage)
  }

  /** What follows the last choice. */
  end(): string {
    return this.#options.includeUsage ? this.#event('', true) + DONE : DONE
  }

  #event(choices: string, counted: boolean): string {
    const { includeUsage, continuousUsage } = this.#options
    const event = `${this.#begin}${choices}]${this.#beside}`
    this.#beside = ''
    if (!includeUsage && !continuousUsage) return `${event}}\n\n`
    const usage = counted ? JSON.stringify(usageBody(this.tokens)) : 'null'
    return `${event},"usage":${usage}}\n\n`
  }
}

/** Writes one choice of a streamed completion. */
export class CompletionChoice {
  readonly #options: ChoiceOptions
  readonly #echo: Echo | null
  readonly #output: () => RequestOutput
  #length = 0
  #begun = false

  /** `output` gives all of its request so far. */
  constructor(options: ChoiceOptions, echo: Echo | null, output: () => RequestOutput) {
    this.#options = options
    this.#echo = echo
    this.#output = output
  }

  /** null: it has nothing to tell. */
  write(delta: OutputDelta): object | null {
    const { index, returnTokenIds } = this.#options
    const prompt = this.#begun || this.#echo === null ? null : this.#output()
    const ids = returnTokenIds ? this.#idsOf(delta) : null
    const before = prompt === null ? '' : this.#echo!.textOf(prompt)
    this.#begun = true
    const text = before + delta.text
    if (text === '' && delta.finishReason === null && !delta.logprobs && !ids) return null
    const logprobs = delta.logprobs ? this.#logprobs(delta, prompt) : null
    this.#length += text.length
    return {
      index,
      text,
      logprobs,
      finish_reason: delta.finishReason,
      stop_reason: delta.stopReason,
      ...ids,
    }
  }

  #idsOf({ tokenIds }: OutputDelta) {
    if (this.#begun) return { token_ids: tokenIds }
    return { prompt_token_ids: this.#output().promptTokenIds, token_ids: tokenIds }
  }

  #logprobs({ logprobs = [], tokenIds }: OutputDelta, prompt: RequestOutput | null) {
    const added = { logprobs, tokenIds }
    if (prompt === null) return completionLogprobs(added, this.#length)
    const { promptLogprobs = [], promptTokenIds } = prompt
    return echoLogprobs(promptLogprobs, promptTokenIds, (id) => this.#echo!.tokenText(id), added)
  }
}

/** Writes one choice of a streamed chat. */
export class ChatChoice {
  readonly #options: ChoiceOptions
  readonly #reader: ChatReplyReader
  readonly #topLogprobs: number
  #toolCalls = 0
  #begun = false

  constructor(options: ChoiceOptions, reader: ChatReplyReader, topLogprobs: number) {
    this.#options = options
    this.#reader = reader
    this.#topLogprobs = topLogprobs
  }

  write(delta: OutputDelta): readonly object[] {
    const added = this.#read(delta)
    const told = delta.logprobs !== undefined || this.#options.returnTokenIds
    const silent = Object.keys(added).length === 0 && !told && delta.finishReason === null
    const shown = silent ? [] : [this.#choice(delta, added)]
    if (this.#begun) return shown
    this.#begun = true
    return [this.#choice(null, { role: 'assistant', content: '' }), ...shown]
  }

  #choice(delta: OutputDelta | null, added: object): object {
    const { index, returnTokenIds } = this.#options
    return {
      index,
      delta: added,
      logprobs: delta?.logprobs ? chatLogprobs(delta, this.#topLogprobs) : null,
      finish_reason: chatFinishReason(delta?.finishReason ?? null, this.#toolCalls > 0),
      ...(delta?.finishReason != null && { stop_reason: delta.stopReason }),
      ...(delta && returnTokenIds && { token_ids: delta.tokenIds }),
    }
  }

  #read({ text, finishReason }: OutputDelta): object {
    const { content, reasoning, toolCalls } = this.#reader.read(text, finishReason !== null)
    const calls = toolCalls.map((call) => ({ index: this.#toolCalls++, ...toolCallTurn(call) }))
    return {
      ...(content !== '' && { content }),
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  }
}
