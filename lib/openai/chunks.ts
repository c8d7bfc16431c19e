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

/** Counts the tokens of a stream, and writes choices as events of one chunk each. */
export class ChunkWriter {
  /** An event as far as its choices: the same text in each. */
  readonly #begin: string
  readonly #options: ChunkOptions
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
    if (!includeUsage && !continuousUsage) return `${this.#begin}${choices}]}\n\n`
    const usage = counted ? JSON.stringify(usageBody(this.tokens)) : 'null'
    return `${this.#begin}${choices}],"usage":${usage}}\n\n`
  }
}

/** Writes one choice of a streamed completion. */
export class CompletionChoice {
  readonly #index: number
  readonly #echo: Echo | null
  readonly #output: () => RequestOutput
  #length = 0
  #begun = false

  /** `output` gives all of its request so far. */
  constructor(index: number, echo: Echo | null, output: () => RequestOutput) {
    this.#index = index
    this.#echo = echo
    this.#output = output
  }

  /** null: it has nothing to tell. */
  write(delta: OutputDelta): object | null {
    const prompt = this.#begun || this.#echo === null ? null : this.#output()
    const before = prompt === null ? '' : this.#echo!.textOf(prompt)
    this.#begun = true
    const text = before + delta.text
    if (text === '' && delta.finishReason === null && !delta.logprobs) return null
    const logprobs = delta.logprobs ? this.#logprobs(delta, prompt) : null
    this.#length += text.length
    return {
      index: this.#index,
      text,
      logprobs,
      finish_reason: delta.finishReason,
      stop_reason: delta.stopReason,
    }
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
  readonly #index: number
  readonly #reader: ChatReplyReader
  readonly #topLogprobs: number
  #toolCalls = 0
  #begun = false

  constructor(index: number, reader: ChatReplyReader, topLogprobs: number) {
    this.#index = index
    this.#reader = reader
    this.#topLogprobs = topLogprobs
  }

  write(delta: OutputDelta): readonly object[] {
    const added = this.#read(delta)
    const silent = Object.keys(added).length === 0 && !delta.logprobs && delta.finishReason === null
    const shown = silent ? [] : [this.#choice(delta, added)]
    if (this.#begun) return shown
    this.#begun = true
    return [this.#choice(null, { role: 'assistant', content: '' }), ...shown]
  }

  #choice(delta: OutputDelta | null, added: object): object {
    return {
      index: this.#index,
      delta: added,
      logprobs: delta?.logprobs ? chatLogprobs(delta, this.#topLogprobs) : null,
      finish_reason: chatFinishReason(delta?.finishReason ?? null, this.#toolCalls > 0),
      ...(delta?.finishReason != null && { stop_reason: delta.stopReason }),
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
