import { beginsThinking, type ReplyFormat } from '../text/reply-format.js'
import { ReplyParser, type Reply } from '../text/reply-parser.js'
import type { ChatRequest } from './request.js'

/** Reads the reply of one chat choice by the request's rules. */
export class ReplyReader {
  readonly #parser: ReplyParser
  readonly #request: ChatRequest
  #called = false

  private constructor(parser: ReplyParser, request: ChatRequest) {
    this.#parser = parser
    this.#request = request
  }

  /** null where the text is the content as it is. */
  static of(request: ChatRequest, format: ReplyFormat, prompt: string | null): ReplyReader | null {
    const tools = request.parseTools && format.tools !== null
    if (!format.thinks && !tools) return null
    const thinking = beginsThinking(prompt ?? '')
    return new ReplyReader(new ReplyParser({ format, tools, thinking }), request)
  }

  /** What the next piece of text adds to the reply. */
  read(text: string, last: boolean): Reply {
    const { content, reasoning, toolCalls } = last
      ? this.#parser.end(text)
      : this.#parser.push(text)
    const { includeReasoning, parallelToolCalls } = this.#request
    const room = parallelToolCalls ? Infinity : Number(!this.#called)
    this.#called ||= toolCalls.length > 0
    return {
      content,
      reasoning: includeReasoning ? reasoning : '',
      toolCalls: toolCalls.slice(0, room),
    }
  }
}
