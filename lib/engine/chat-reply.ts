import type { SamplingOptions } from '../sampling-params.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { replyFormatOf } from '../text/reply-format.js'
import {
  readsSpecialTokens,
  replyReader,
  type ReplyContext,
  type ReplyReader,
} from '../text/reply-reader.js'
import { toolCallTurn } from '../text/tool-call-turn.js'
import { checkChatOptions, type ChatOptions } from './call-options.js'
import type { OutputStream } from './calls.js'
import type { Intake } from './intake.js'
import type { CompletionOutput, OutputDelta, ReplyParts, RequestOutput } from './outputs.js'

/** What a chat asks of the engine, and what reads its outputs. */
export function chatRequest(
  intake: Intake,
  messages: readonly ChatTurn[],
  params: SamplingOptions,
  options: ChatOptions,
  streaming = false,
) {
  const sampling = intake.checkParams(params, { chat: true, streaming })
  const rendered = intake.renderChat(messages, checkChatOptions(options))
  const template = intake.chatTemplate?.sourceFor(options) ?? ''
  const prompt = { ...rendered, chatTemplate: template }
  const { tools, readReply = true, continueFinalMessage: continues } = options
  if (!readReply || (tools === undefined && !replyFormatOf(template).thinks))
    return { prompt, sampling, reply: AS_WRITTEN }
  const toolUse = tools === undefined ? 'none' : 'allowed'
  const keeps = params.skipSpecialTokens === undefined && readsSpecialTokens(template, toolUse)
  const { structuredOutputs: structured } = params
  return {
    prompt,
    sampling: keeps ? { ...sampling, skipSpecialTokens: false } : sampling,
    reply: new ChatReply({ template, prompt: prompt.text, toolUse, tools, continues, structured }),
  }
}

/** Reads outputs. */
type OutputReader = Pick<ChatReply, 'read' | 'readStream'>

/** Without tools, and of a model that does not think: what it writes is its text. */
const AS_WRITTEN: OutputReader = { read: (output) => output, readStream: (stream) => stream }

/** Takes the outputs of a chat apart: into text, thoughts, and calls of tools. */
class ChatReply {
  readonly #context: ReplyContext

  constructor(context: ReplyContext) {
    this.#context = context
  }

  read(output: RequestOutput): RequestOutput {
    const read = (one: CompletionOutput) => new ReadOutput(this.#context).add(one)
    return { ...output, outputs: output.outputs.map((one) => ({ ...one, ...read(one) })) }
  }

  /** Each output is read once: all of it is what its deltas gave. */
  readStream(stream: OutputStream): OutputStream {
    const readers = new Map<number, ReadOutput>()
    const reader = (index: number) => {
      const one = readers.get(index) ?? new ReadOutput(this.#context)
      readers.set(index, one)
      return one
    }
    const output = () => {
      const whole = stream.output()
      const given = (one: CompletionOutput) => ({ ...one, ...reader(one.index).given })
      return whole && { ...whole, outputs: whole.outputs.map(given) }
    }
    async function* deltas(): AsyncGenerator<OutputDelta, void, undefined> {
      for await (const delta of stream) yield { ...delta, ...reader(delta.index).add(delta) }
    }
    return Object.assign(deltas(), { requestId: () => stream.requestId(), output })
  }
}

/** One output as it is read. */
class ReadOutput {
  readonly #reader: ReplyReader
  #given: ReplyParts = { text: '', reasoning: '', toolCalls: [] }

  constructor(context: ReplyContext) {
    this.#reader = replyReader(context)
  }

  /** All so far. */
  get given(): ReplyParts {
    return { ...this.#given, toolCalls: [...this.#given.toolCalls] }
  }

  /** What more text adds. */
  add({ text, finishReason }: Pick<OutputDelta, 'text' | 'finishReason'>): ReplyParts {
    const reply = finishReason === null ? this.#reader.push(text) : this.#reader.end(text)
    const { content, reasoning } = reply
    const toolCalls = reply.toolCalls.map(toolCallTurn)
    this.#given.text += content
    this.#given.reasoning += reasoning
    this.#given.toolCalls.push(...toolCalls)
    return { text: content, reasoning, toolCalls }
  }
}
