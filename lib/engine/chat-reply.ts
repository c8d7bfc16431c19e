import type { SamplingOptions } from '../sampling-params.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { replyFormatOf } from '../text/reply-format.js'
import type { Reply } from '../text/reply-parser.js'
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
  /** Of a stream, by the output's index. */
  readonly #readers = new Map<number, ReplyReader>()

  constructor(context: ReplyContext) {
    this.#context = context
  }

  read(output: RequestOutput): RequestOutput {
    return { ...output, outputs: output.outputs.map((one) => this.#readOutput(one)) }
  }

  readStream(stream: OutputStream): OutputStream {
    const output = () => {
      const whole = stream.output()
      return whole && this.read(whole)
    }
    return Object.assign(this.#deltas(stream), { requestId: () => stream.requestId(), output })
  }

  async *#deltas(stream: OutputStream): AsyncGenerator<OutputDelta, void, undefined> {
    for await (const delta of stream) {
      const { index, text, finishReason } = delta
      const reader = this.#readers.get(index) ?? replyReader(this.#context)
      this.#readers.set(index, reader)
      yield { ...delta, ...partsOf(finishReason === null ? reader.push(text) : reader.end(text)) }
    }
  }

  #readOutput(output: CompletionOutput): CompletionOutput {
    const reader = replyReader(this.#context)
    const { text, finishReason } = output
    return { ...output, ...partsOf(finishReason === null ? reader.push(text) : reader.end(text)) }
  }
}

function partsOf({ content, reasoning, toolCalls }: Reply): ReplyParts {
  return { text: content, reasoning, toolCalls: toolCalls.map(toolCallTurn) }
}
