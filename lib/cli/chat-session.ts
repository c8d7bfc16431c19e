import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { LoraRequest } from '../engine/lora-request.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { ChatTurn } from '../text/chat-turns.js'

/** What a chat needs of an engine. */
export type ChatEngine = Pick<LLMEngine, 'chatStream' | 'stats'>

/** What one reply took. */
export interface ReplyStats {
  readonly tokens: number
  /** Seconds from the question to the reply's end. */
  readonly seconds: number
  /** Seconds from the question to the first token. */
  readonly secondsToFirst: number
  readonly promptTokens: number
  /** Prompt tokens whose keys and values were in the cache. */
  readonly cachedTokens: number
}

/** The turns of a chat so far. */
export class ChatSession {
  readonly #engine: ChatEngine
  readonly #params: SamplingOptions
  readonly #call: CallOptions
  #system: string | null
  #turns: ChatTurn[] = []

  constructor(
    engine: ChatEngine,
    params: SamplingOptions,
    system: string | null,
    loraRequest?: LoraRequest,
  ) {
    this.#engine = engine
    this.#params = params
    this.#call = loraRequest ? { loraRequest } : {}
    this.#system = system
  }

  /** All messages, the system's first. */
  get messages(): readonly ChatTurn[] {
    const system = this.#system === null ? [] : [{ role: 'system', content: this.#system }]
    return [...system, ...this.#turns]
  }

  /** Forgets the turns; the system message stays. */
  reset(): void {
    this.#turns = []
  }

  /** Sets what the model is told before the first turn; null: nothing. */
  setSystem(text: string | null): void {
    this.#system = text
  }

  /**
   * Answers a message, a piece of text at a time, thoughts before it. A reply that is stopped stays as far as it went; after a
   * failure the chat is as it was before the message.
   */
  async *reply(
    content: string,
    signal: AbortSignal,
  ): AsyncGenerator<string, ReplyStats, undefined> {
    const before = this.#engine.stats()
    const start = performance.now()
    const elapsed = () => (performance.now() - start) / 1000
    let secondsToFirst = 0
    let tokens = 0
    let reply = ''
    let thinking = false
    const messages = [...this.messages, { role: 'user', content }]
    try {
      const call = { ...this.#call, signal }
      for await (const delta of this.#engine.chatStream(messages, this.#params, call)) {
        if (tokens === 0) secondsToFirst = elapsed()
        tokens += delta.tokenIds.length
        const { reasoning = '', text } = delta
        if (reasoning !== '') yield reasoning
        thinking ||= reasoning !== ''
        if (thinking && text !== '') {
          yield '\n\n'
          thinking = false
        }
        reply += text
        yield text
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
    this.#turns.push({ role: 'user', content }, { role: 'assistant', content: reply })
    const { promptTokens, prefixCacheHits } = this.#engine.stats()
    const cachedTokens = prefixCacheHits - before.prefixCacheHits
    return {
      tokens,
      seconds: elapsed(),
      secondsToFirst,
      promptTokens: promptTokens - before.promptTokens + cachedTokens,
      cachedTokens,
    }
  }
}
