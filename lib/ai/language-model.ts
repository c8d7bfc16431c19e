import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
} from '@ai-sdk/provider'
import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { RequestOutput } from '../engine/outputs.js'
import { engineCallOf } from './call.js'
import { contentOf, ReplyParts } from './reply.js'

/** An engine as a language model of the AI SDK, called with an adapter or without. */
export class OctavoLanguageModel implements LanguageModelV3 {
  readonly specificationVersion = 'v3'
  readonly provider = 'octavo'
  readonly modelId: string
  /** Nothing is fetched. */
  readonly supportedUrls = {}
  readonly #engine: LLMEngine
  readonly #call: CallOptions

  constructor(engine: LLMEngine, modelId: string, call: CallOptions) {
    this.#engine = engine
    this.#call = call
    this.modelId = modelId
  }

  async doGenerate(options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> {
    const call = engineCallOf(options, this.#engine.text)
    const asked = { ...this.#call, ...call.options }
    const output = await this.#engine.chat(call.messages, call.params, asked)
    const { prompt } = output
    const reply = new ReplyParts({ ...call.reply, prompt })
    const content = contentOf([...reply.push(output.outputs[0]!.text), ...reply.end()])
    return {
      content,
      finishReason: finishReasonOf(output, reply.called),
      usage: usageOf(output),
      warnings: call.warnings,
      response: this.#head(output),
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- what the call throws must reject
  async doStream(options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> {
    const parts = this.#parts(options)
    const stream = new ReadableStream<LanguageModelV3StreamPart>({
      async pull(controller) {
        const { value, done } = await parts.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      async cancel() {
        await parts.return()
      },
    })
    return { stream }
  }

  /** A reader that stops ends the request. */
  #parts(
    options: LanguageModelV3CallOptions,
  ): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
    const call = engineCallOf(options, this.#engine.text)
    const asked = { ...this.#call, ...call.options }
    const deltas = this.#engine.chatStream(call.messages, call.params, asked)
    const head = (output: RequestOutput) => this.#head(output)
    async function* write(): AsyncGenerator<LanguageModelV3StreamPart, void, undefined> {
      let reply: ReplyParts | null = null
      yield { type: 'stream-start', warnings: call.warnings }
      for await (const { text } of deltas) {
        if (reply === null) {
          const begun = deltas.output()!
          yield { type: 'response-metadata', ...head(begun) }
          reply = new ReplyParts({ ...call.reply, prompt: begun.prompt })
        }
        yield* reply.push(text)
      }
      const output = deltas.output()!
      yield* reply?.end() ?? []
      const finishReason = finishReasonOf(output, reply?.called ?? false)
      yield { type: 'finish', finishReason, usage: usageOf(output) }
    }
    return write()
  }

  #head({ requestId, metrics }: RequestOutput) {
    return { id: requestId, modelId: this.modelId, timestamp: new Date(metrics.arrivalTime) }
  }
}

const FINISH_REASONS = { stop: 'stop', length: 'length', abort: 'other', error: 'error' } as const

function finishReasonOf({ outputs }: RequestOutput, called: boolean): LanguageModelV3FinishReason {
  const raw = outputs[0]!.finishReason ?? 'error'
  const unified = called && raw === 'stop' ? 'tool-calls' : FINISH_REASONS[raw]
  return { unified, raw }
}

function usageOf({ promptTokenIds, outputs, metrics }: RequestOutput): LanguageModelV3Usage {
  const total = promptTokenIds.length
  const { cachedTokens } = metrics
  const drawn = outputs[0]!.tokenIds.length
  return {
    inputTokens: {
      ...{ total, noCache: total - cachedTokens, cacheRead: cachedTokens },
      cacheWrite: undefined,
    },
    outputTokens: { total: drawn, text: drawn, reasoning: undefined },
  }
}
