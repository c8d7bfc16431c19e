import type { CallOptions } from '../../engine/call-options.js'
import type { OutputDelta, RequestOutput } from '../../engine/outputs.js'
import { newId } from '../../new-id.js'
import type { ChatTurn } from '../../text/chat-turns.js'
import type { AnsweringEngine } from '../answer.js'
import { openAiError, withName } from '../errors.js'
import { ReplyStream } from '../reply-stream.js'
import { namedEvents, type NamedEvent, type StreamedAnswer } from '../streamed-answer.js'
import { joinTurns, turnsOfItems, type Item } from './items.js'
import type { ResponsesRequest } from './request.js'
import type { StoredResponse } from './store.js'
import { ItemWriter } from './writer.js'

export type ResponseBody = StoredResponse['body']

/** A request, and the response that it goes on from. */
export interface ResponseCall {
  readonly request: ResponsesRequest
  readonly previous: StoredResponse | null
  /** As the response calls it. */
  readonly model: string
  readonly options: CallOptions
  /** Told of the response once it is complete. */
  readonly onEnd: (response: StoredResponse) => void
}

/** Answers a request with one body. Rejects as the engine does. */
export async function answerResponse(
  engine: AnsweringEngine,
  call: ResponseCall,
): Promise<ResponseBody> {
  const answer = new Answer(engine, call)
  for await (const delta of answer.deltas) answer.add(delta)
  answer.end()
  return answer.body
}

/** Answers a request by events as they are made. Throws as the engine does. */
export function streamResponse(engine: AnsweringEngine, call: ResponseCall): StreamedAnswer {
  return new ResponseStream(new Answer(engine, call))
}

/** Tells of an answer by events with names and numbers. */
class ResponseStream implements StreamedAnswer {
  readonly deltas: StreamedAnswer['deltas']
  readonly #answer: Answer
  #number = 0

  constructor(answer: Answer) {
    this.deltas = answer.deltas
    this.#answer = answer
  }

  write(delta: OutputDelta): string {
    const events = this.#answer.add(delta)
    return this.#text(this.#number > 0 ? events : [...this.#answer.beginning(), ...events])
  }

  end(): string {
    this.#answer.end()
    return this.#last(this.#answer.status)
  }

  fail(error: unknown): string {
    this.#answer.fail(error)
    return this.#last('failed')
  }

  #last(status: string): string {
    return this.#text([{ type: `response.${status}`, response: this.#answer.body }])
  }

  #text(events: readonly NamedEvent[]): string {
    return namedEvents(events.map((event) => ({ ...event, sequence_number: this.#number++ })))
  }
}

/** A response while it is made. */
class Answer {
  status: 'in_progress' | 'completed' | 'incomplete' | 'failed' = 'in_progress'
  readonly #call: ResponseCall
  readonly #id = newId('resp_')
  readonly #created = Math.floor(Date.now() / 1000)
  readonly #conversation: readonly Item[]
  readonly #turns: readonly ChatTurn[]
  readonly #writer: ItemWriter
  readonly #stream: ReplyStream
  readonly #defaults: AnsweringEngine['samplingDefaults']
  #output: RequestOutput | null = null
  #error: object | null = null

  constructor(engine: AnsweringEngine, call: ResponseCall) {
    const { request, previous } = call
    this.#call = call
    const before = previous?.conversation ?? []
    this.#conversation = [...before, ...request.items]
    const instructed =
      request.instructions === null ? [] : [{ role: 'system', content: request.instructions }]
    this.#turns = joinTurns([...instructed, ...turnsOfItems(this.#conversation)])
    this.#writer = new ItemWriter(request.params.logprobs ?? null, request.namespaced)
    this.#stream = this.#begin(engine)
    this.#defaults = engine.samplingDefaults
  }

  get deltas() {
    return this.#stream.deltas
  }

  /** The events of a delta; the last one ends the open item. */
  add(delta: OutputDelta): readonly NamedEvent[] {
    const last = delta.finishReason !== null
    const events = this.#writer.write(this.#stream.read(delta), delta)
    if (!last) return events
    this.status = delta.finishReason === 'stop' ? 'completed' : 'incomplete'
    return [...events, ...this.#writer.end(this.status)]
  }

  /** After the last delta: the response is complete. */
  end(): void {
    const { request, onEnd } = this.#call
    this.#output = this.deltas.output()
    if (!request.store) return
    const conversation = [...this.#conversation, ...this.#writer.items]
    onEnd({ body: this.body, conversation, input: request.items })
  }

  #begin(engine: AnsweringEngine): ReplyStream {
    const { request, options } = this.#call
    try {
      return new ReplyStream(engine, this.#turns, request, options)
    } catch (error) {
      throw withName(error, /^maxTokens/, 'max_output_tokens')
    }
  }

  /** The events that come before all others. */
  beginning(): readonly NamedEvent[] {
    const response = { ...this.body, status: 'in_progress', output: [], usage: null }
    return ['response.created', 'response.in_progress'].map((type) => ({ type, response }))
  }

  fail(error: unknown): void {
    this.#output = this.deltas.output()
    const { message } = openAiError(error).body.error
    this.#error = { code: 'server_error', message }
    this.status = 'failed'
  }

  get body(): ResponseBody {
    const { request, model } = this.#call
    const { temperature = 1, topP = 1 } = { ...this.#defaults, ...request.params }
    const { status } = this
    const incomplete = status === 'incomplete' ? { reason: 'max_output_tokens' } : null
    return {
      id: this.#id,
      object: 'response',
      created_at: this.#created,
      completed_at: status === 'completed' ? Math.floor(Date.now() / 1000) : null,
      status,
      error: this.#error,
      incomplete_details: incomplete,
      model,
      ...request.echoed,
      ...{ temperature, top_p: topP },
      output: this.#writer.soFar,
      usage: this.#usage(),
    }
  }

  #usage() {
    if (this.#output === null) return null
    const { promptTokenIds, outputs, metrics } = this.#output
    const drawn = outputs[0]!.tokenIds.length
    return {
      input_tokens: promptTokenIds.length,
      input_tokens_details: { cached_tokens: metrics.cachedTokens, cache_write_tokens: 0 },
      output_tokens: drawn,
      output_tokens_details: { reasoning_tokens: this.#stream.reasoningTokens },
      total_tokens: promptTokenIds.length + drawn,
    }
  }
}
