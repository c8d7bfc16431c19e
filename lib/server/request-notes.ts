import { randomUUID } from 'node:crypto'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { RequestOutput } from '../engine/outputs.js'
import type { BatchAnsweringEngine } from '../openai/batch-request.js'
import { isHeaderWord } from '../openai/request.js'
import { withoutDraw } from '../openai/response.js'
import type { FinishReason } from '../scheduling/sequence.js'

/** What a log tells of a request's answer. */
export interface AnswerFacts {
  /** The name by which the model was asked for. */
  readonly model?: string
  readonly promptTokens?: number
  readonly outputTokens?: number
  /** One an output; none of embeddings. */
  readonly finishReasons?: readonly FinishReason[]
}

type Answered = Pick<RequestOutput, 'promptTokenIds'> & Partial<Pick<RequestOutput, 'outputs'>>

/** What is learnt of a request on its way: its id, and what the engine answers it. */
export class RequestNotes {
  #requestId: string
  readonly #named: boolean
  #model: string | null = null
  #draws = true
  readonly #answered: (() => Answered | null)[] = []

  /** `given` is the id that the request's header gives it. */
  constructor(given: string | null) {
    this.#named = given !== null && isHeaderWord(given)
    this.#requestId = given !== null && this.#named ? given : randomUUID()
  }

  get requestId(): string {
    return this.#requestId
  }

  /** Takes the id that the request's body gives it, unless its header gave one; gives the one that it has. */
  name(given: string | null): string {
    if (given !== null && !this.#named) this.#requestId = given
    return this.#requestId
  }

  /** The engine as it is called for an answer by the model of that name; `draws` is false where prompts are answered alone. */
  watch(engine: LLMEngine, model: string, draws = true): BatchAnsweringEngine {
    this.#model = model
    this.#draws = draws
    return {
      text: engine.text,
      samplingDefaults: engine.samplingDefaults,
      generate: async (...call) => this.#addAll(await engine.generate(...call)),
      embed: async (...call) => this.#addAll(await engine.embed(...call)),
      chat: async (...call) => this.#addAll([await engine.chat(...call)])[0]!,
      stream: (...call) => this.#addStream(engine.stream(...call)),
      chatStream: (...call) => this.#addStream(engine.chatStream(...call)),
    }
  }

  /** As far as they are known: of a stream that its reader has left, up to there. */
  get facts(): AnswerFacts {
    if (this.#model === null) return {}
    const answered = this.#answered.map((read) => read()).filter((output) => output !== null)
    if (answered.length === 0) return { model: this.#model }
    const drawn = answered.flatMap((output) => output.outputs ?? [])
    const outputs = this.#draws ? drawn : drawn.map(withoutDraw)
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
    return {
      model: this.#model,
      promptTokens: sum(answered.map(({ promptTokenIds }) => promptTokenIds.length)),
      outputTokens: sum(outputs.map(({ tokenIds }) => tokenIds.length)),
      finishReasons: outputs.map(({ finishReason }) => finishReason ?? 'abort'),
    }
  }

  #addAll<T extends Answered>(outputs: T[]): T[] {
    for (const output of outputs) this.#answered.push(() => output)
    return outputs
  }

  #addStream<T extends { output(): RequestOutput | null }>(stream: T): T {
    this.#answered.push(() => stream.output())
    return stream
  }
}
