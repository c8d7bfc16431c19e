import type { CallOptions } from '../engine/call-options.js'
import type { OutputStream } from '../engine/calls.js'
import type { OutputDelta } from '../engine/outputs.js'
import type { ChatTurn } from '../text/chat-turns.js'
import type { Reply } from '../text/reply-parser.js'
import { chatArguments, type AnsweringEngine } from './answer.js'
import { ChatReplyReader, type ReplyRequest } from './reply-reader.js'

/** The one reply to a chat, taken apart as it comes. */
export class ReplyStream {
  readonly deltas: OutputStream
  /** Tokens of the deltas that held thoughts. */
  reasoningTokens = 0
  readonly #newReader: () => ChatReplyReader
  #reader: ChatReplyReader | null = null

  /** Throws as the engine does. */
  constructor(
    engine: AnsweringEngine,
    turns: readonly ChatTurn[],
    request: ReplyRequest,
    call: CallOptions,
  ) {
    this.deltas = engine.chatStream(turns, ...chatArguments(engine, request, call))
    const template = engine.text.chatTemplateFor(request.chat)
    this.#newReader = () => new ChatReplyReader(request, template, this.deltas.output()!.prompt)
  }

  /** What a delta adds to the reply. */
  read({ text, tokenIds, finishReason }: OutputDelta): Reply {
    this.#reader ??= this.#newReader()
    const reply = this.#reader.read(text, finishReason !== null)
    if (reply.reasoning !== '') this.reasoningTokens += tokenIds.length
    return reply
  }
}
