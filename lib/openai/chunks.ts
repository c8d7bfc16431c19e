import type { OutputDelta, RequestOutput } from '../engine/outputs.js'
import { chatLogprobs, completionLogprobs, echoLogprobs } from './logprobs.js'
import type { ChatReplyReader } from './reply-reader.js'
import {
  chatFinishReason,
  headOf,
  toolCallBody,
  usageBody,
  type Echo,
  type ResponseHead,
  type TokenCounts,
} from './response.js'

/** A chunk of a streamed answer: a JSON object. */
export type Chunk = Readonly<Record<string, unknown>>

export interface ChunkOptions {
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
}

/** Counts the tokens of a stream, and writes its chunks around choices. */
export class ChunkWriter {
  readonly #head: Chunk
  readonly #options: ChunkOptions
  #prompt = 0
  #completion = 0
  #cached = 0

  constructor(head: ResponseHead, object: string, options: ChunkOptions) {
    this.#head = headOf(head, object)
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

  write(choice: object): Chunk {
    const { includeUsage, continuousUsage } = this.#options
    const usage = continuousUsage ? usageBody(this.tokens) : null
    const counted = continuousUsage || includeUsage ? { usage } : null
    return { ...this.#head, choices: [choice], ...counted }
  }

  /** What follows the last choice. */
  end(): readonly Chunk[] {
    if (!this.#options.includeUsage) return []
    return [{ ...this.#head, choices: [], usage: usageBody(this.tokens) }]
  }
}

/** Writes one choice of a streamed completion. */
export class CompletionChoice {
  readonly #index: number
  readonly #echo: Echo | null
  #length = 0
  #begun = false

  constructor(index: number, echo: Echo | null) {
    this.#index = index
    this.#echo = echo
  }

  write(delta: OutputDelta, output: () => RequestOutput): object | null {
    const prompt = this.#begun || this.#echo === null ? null : output()
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
  #toolCalls = 0
  #begun = false

  constructor(index: number, reader: ChatReplyReader) {
    this.#index = index
    this.#reader = reader
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
      logprobs: delta?.logprobs ? chatLogprobs(delta) : null,
      finish_reason: chatFinishReason(delta?.finishReason ?? null, this.#toolCalls > 0),
      ...(delta?.finishReason != null && { stop_reason: delta.stopReason }),
    }
  }

  #read({ text, finishReason }: OutputDelta): object {
    const { content, reasoning, toolCalls } = this.#reader.read(text, finishReason !== null)
    const calls = toolCalls.map((call) => ({ index: this.#toolCalls++, ...toolCallBody(call) }))
    return {
      ...(content !== '' && { content }),
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(calls.length > 0 && { tool_calls: calls }),
    }
  }
}
