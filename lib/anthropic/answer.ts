import type { CallOptions } from '../engine/call-options.js'
import type { OutputDelta } from '../engine/outputs.js'
import type { AnsweringEngine } from '../openai/answer.js'
import { newId } from '../new-id.js'
import { openAiError, withName } from '../openai/errors.js'
import { ReplyStream } from '../openai/reply-stream.js'
import { countTokens } from '../openai/response.js'
import { namedEvents, type NamedEvent, type StreamedAnswer } from '../openai/streamed-answer.js'
import { anthropicErrorBody, withSystemRole } from './errors.js'
import type { MessagesRequest } from './request.js'
import { BlockWriter } from './writer.js'

/** A request, and what answers it. */
export interface MessageCall {
  readonly request: MessagesRequest
  /** As the message calls it. */
  readonly model: string
  readonly options: CallOptions
}

/** Answers a request with one message. Rejects as the engine does. */
export async function answerMessage(engine: AnsweringEngine, call: MessageCall): Promise<object> {
  const answer = new Answer(engine, call)
  for await (const delta of answer.deltas) answer.add(delta)
  return answer.body()
}

/** Answers a request by events as they are made. Throws as the engine does. */
export function streamMessage(engine: AnsweringEngine, call: MessageCall): StreamedAnswer {
  return new MessageStream(new Answer(engine, call))
}

/** The tokens of the prompt that a request becomes. */
export async function countPromptTokens(
  { text }: AnsweringEngine,
  { turns, chat }: MessagesRequest,
): Promise<number> {
  const prompt = text.renderChat(turns, chat)
  return (await text.tokenize(prompt, { addSpecialTokens: false })).length
}

/** Tells of an answer by Anthropic's events. */
class MessageStream implements StreamedAnswer {
  readonly deltas: StreamedAnswer['deltas']
  readonly #answer: Answer
  #begun = false

  constructor(answer: Answer) {
    this.deltas = answer.deltas
    this.#answer = answer
  }

  write(delta: OutputDelta): string {
    const events = this.#answer.add(delta)
    if (this.#begun) return namedEvents(events)
    this.#begun = true
    const message = this.#answer.body({ begun: true })
    return namedEvents([{ type: 'message_start', message }, { type: 'ping' }, ...events])
  }

  end(): string {
    const { ending: delta, usage } = this.#answer
    return namedEvents([{ type: 'message_delta', delta, usage }, { type: 'message_stop' }])
  }

  fail(error: unknown): string {
    const { status, body } = openAiError(error)
    return namedEvents([anthropicErrorBody(status, body.error)])
  }
}

/** A message while it is made. */
class Answer {
  readonly #model: string
  readonly #id = newId('msg_')
  readonly #stream: ReplyStream
  readonly #writer: BlockWriter
  #last: OutputDelta | null = null

  constructor(engine: AnsweringEngine, { request, model, options }: MessageCall) {
    this.#model = model
    this.#writer = new BlockWriter(request.showsThoughts)
    try {
      this.#stream = new ReplyStream(engine, request.turns, request, options)
    } catch (error) {
      throw withSystemRole(withName(error, /^stop\b/, 'stop_sequences'), request.turns)
    }
  }

  get deltas() {
    return this.#stream.deltas
  }

  /** The events of a delta; the last one ends the open block. */
  add(delta: OutputDelta): readonly NamedEvent[] {
    const events = this.#writer.write(this.#stream.read(delta))
    if (delta.finishReason === null) return events
    this.#last = delta
    return [...events, ...this.#writer.end()]
  }

  /** The message so far; `begun`: as its first event shows it. */
  body({ begun = false } = {}): object {
    return {
      id: this.#id,
      type: 'message',
      role: 'assistant',
      model: this.#model,
      content: begun ? [] : this.#writer.blocks,
      ...(begun ? { stop_reason: null, stop_sequence: null } : this.ending),
      usage: this.usage,
    }
  }

  /** Why the message ended. */
  get ending() {
    const { finishReason = null, stopReason = null } = this.#last ?? {}
    const reason = (stop_reason: string | null) => ({ stop_reason, stop_sequence: null })
    if (finishReason === null) return reason(null)
    if (finishReason !== 'stop') return reason('max_tokens')
    if (this.#writer.called) return reason('tool_use')
    if (typeof stopReason !== 'string') return reason('end_turn')
    return { stop_reason: 'stop_sequence', stop_sequence: stopReason }
  }

  /** Tokens of the prompt that the cache held are counted apart from the others. */
  get usage() {
    const { prompt, completion, cached } = countTokens([this.deltas.output()!])
    return {
      input_tokens: prompt - cached,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: cached,
      output_tokens: completion,
      output_tokens_details: { thinking_tokens: this.#stream.reasoningTokens },
    }
  }
}
