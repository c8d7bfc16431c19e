import { replyReader, type ReplyReader } from '../text/reply-reader.js'
import type { Reply } from '../text/reply-parser.js'
import type { ChatRequest } from './request.js'

/** What a chat asks for, and how its reply is read. */
export type ReplyRequest = Pick<
  ChatRequest,
  'params' | 'chat' | 'toolUse' | 'parallelToolCalls' | 'includeReasoning'
>

/** Reads the reply of one chat choice by the request's rules. */
export class ChatReplyReader {
  readonly #reader: ReplyReader
  readonly #request: ReplyRequest
  #called = false

  constructor(request: ReplyRequest, template: string | null, prompt: string | null) {
    const { chat, toolUse, params } = request
    const { tools, continueFinalMessage: continues } = chat
    const { structuredOutputs: structured } = params
    this.#reader = replyReader({ template, prompt, toolUse, tools, continues, structured })
    this.#request = request
  }

  /** What the next piece of text adds to the reply. */
  read(text: string, last: boolean): Reply {
    const { content, reasoning, toolCalls } = last
      ? this.#reader.end(text)
      : this.#reader.push(text)
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
