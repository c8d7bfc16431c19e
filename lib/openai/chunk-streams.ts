import type { OutputStream } from '../engine/calls.js'
import type { OutputDelta, RequestOutput } from '../engine/outputs.js'
import { ChatChoice, ChunkWriter, CompletionChoice } from './chunks.js'
import { mergeStreams } from './merge-streams.js'
import type { ChatReplyReader } from './reply-reader.js'
import type { ChatRequest, CompletionRequest } from './request.js'
import { withoutDraw, type Echo, type ResponseHead } from './response.js'
import { failedStream, type StreamedAnswer } from './streamed-answer.js'

/** Streams a completion: the choices of all prompts, as they come. */
export class CompletionStream implements StreamedAnswer {
  readonly deltas: StreamedAnswer['deltas']
  readonly fail = failedStream
  readonly #streams: readonly OutputStream[]
  readonly #writer: ChunkWriter
  readonly #request: CompletionRequest
  readonly #echo: Echo | null
  /** Which stream a request's is; of those that have begun. */
  readonly #sources = new Map<string, number>()
  readonly #choices = new Map<number, CompletionChoice>()

  /** One stream a prompt. */
  constructor(
    streams: readonly OutputStream[],
    request: CompletionRequest,
    head: ResponseHead,
    echo: Echo | null,
  ) {
    this.deltas = mergeStreams(streams)
    this.#streams = streams
    this.#writer = new ChunkWriter(head, 'text_completion', request)
    this.#request = request
    this.#echo = echo
  }

  write(delta: OutputDelta): string {
    const source = this.#sources.get(delta.requestId) ?? this.#begin(delta.requestId)
    const { params, returnTokenIds, draws } = this.#request
    const index = source * (params.n ?? 1) + delta.index
    let choice = this.#choices.get(index)
    if (choice === undefined) {
      const options = { index, returnTokenIds }
      choice = new CompletionChoice(options, this.#echo, () => this.#outputOf(source))
      this.#choices.set(index, choice)
    }
    const shown = draws ? delta : withoutDraw(delta)
    this.#writer.addTokens(shown.tokenIds.length)
    const written = choice.write(shown)
    return written === null ? '' : this.#writer.write(written)
  }

  end(): string {
    return this.#writer.end()
  }

  #begin(requestId: string): number {
    const source = this.#streams.findIndex((stream) => stream.requestId() === requestId)
    this.#sources.set(requestId, source)
    this.#writer.addPrompt(this.#outputOf(source))
    return source
  }

  #outputOf(source: number): RequestOutput {
    return this.#streams[source]!.output()!
  }
}

/** Streams a chat. */
export class ChatStream implements StreamedAnswer {
  readonly deltas: OutputStream
  readonly fail = failedStream
  readonly #writer: ChunkWriter
  readonly #newReader: (output: RequestOutput) => ChatReplyReader
  readonly #request: ChatRequest
  readonly #choices = new Map<number, ChatChoice>()
  #begun: RequestOutput | null = null

  /** `newReader` gives what reads the reply of one choice. */
  constructor(
    stream: OutputStream,
    request: ChatRequest,
    head: ResponseHead,
    newReader: (output: RequestOutput) => ChatReplyReader,
  ) {
    this.deltas = stream
    this.#writer = new ChunkWriter(head, 'chat.completion.chunk', request)
    this.#newReader = newReader
    this.#request = request
  }

  write(delta: OutputDelta): string {
    this.#writer.addTokens(delta.tokenIds.length)
    let text = ''
    for (const choice of this.#choiceOf(delta.index).write(delta))
      text += this.#writer.write(choice)
    return text
  }

  end(): string {
    return this.#writer.end()
  }

  #choiceOf(index: number): ChatChoice {
    const known = this.#choices.get(index)
    if (known !== undefined) return known
    const { params, returnTokenIds } = this.#request
    if (this.#begun === null) {
      this.#begun = this.deltas.output()!
      this.#writer.addPrompt(this.#begun)
      if (returnTokenIds) this.#writer.tellOnce({ prompt_token_ids: this.#begun.promptTokenIds })
    }
    const options = { index, returnTokenIds }
    const choice = new ChatChoice(options, this.#newReader(this.#begun), params.logprobs ?? 0)
    this.#choices.set(index, choice)
    return choice
  }
}
