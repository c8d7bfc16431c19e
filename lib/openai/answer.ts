import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { RequestOutput } from '../engine/outputs.js'
import { readsSpecialTokens } from '../text/reply-reader.js'
import { ChatStream, CompletionStream } from './chunk-streams.js'
import { ChatReplyReader } from './reply-reader.js'
import type { ChatRequest, CompletionRequest, OpenAiRequest } from './request.js'
import { chatBody, completionBody, withoutDraw, type Echo, type ResponseHead } from './response.js'
import type { StreamedAnswer } from './streamed-answer.js'

/** What an answer needs of an engine. */
export type AnsweringEngine = Pick<
  LLMEngine,
  'generate' | 'stream' | 'chat' | 'chatStream' | 'text' | 'samplingDefaults'
>

/** Answers a request with one body. Rejects as the engine does. */
export async function answer(
  engine: AnsweringEngine,
  request: OpenAiRequest,
  head: ResponseHead,
  call: CallOptions,
): Promise<object> {
  if (request.endpoint === '/v1/completions') {
    const { prompts, params } = request
    const outputs = await engine.generate(prompts, params, call)
    const shown = request.draws ? outputs : outputs.map(undrawn)
    return completionBody(head, request, shown, echoOf(engine, request))
  }
  const output = await engine.chat(request.messages, ...chatArguments(engine, request, call))
  const template = engine.text.chatTemplateFor(request.chat)
  return chatBody(head, request, output, (text) =>
    new ChatReplyReader(request, template, output.prompt).read(text, true),
  )
}

/** Answers a request by chunks as they are made. Throws as the engine does. */
export function streamAnswer(
  engine: AnsweringEngine,
  request: OpenAiRequest,
  head: ResponseHead,
  call: CallOptions,
): StreamedAnswer {
  if (request.endpoint === '/v1/completions') {
    const streams = request.prompts.map((prompt) => engine.stream(prompt, request.params, call))
    return new CompletionStream(streams, request, head, echoOf(engine, request))
  }
  const stream = engine.chatStream(request.messages, ...chatArguments(engine, request, call))
  const template = engine.text.chatTemplateFor(request.chat)
  const newReader = ({ prompt }: RequestOutput) => new ChatReplyReader(request, template, prompt)
  return new ChatStream(stream, request, head, newReader)
}

/** What the engine is called with for a chat, beside its messages. */
export function chatArguments(
  { text }: AnsweringEngine,
  request: Pick<ChatRequest, 'params' | 'chat' | 'toolUse'>,
  call: CallOptions,
) {
  const { params, chat, toolUse } = request
  const special = readsSpecialTokens(text.chatTemplateFor(chat), toolUse)
  const options = { ...chat, ...call, readReply: false }
  return [special ? { skipSpecialTokens: false, ...params } : params, options] as const
}

/** An output as if nothing had been drawn. */
function undrawn(output: RequestOutput): RequestOutput {
  return { ...output, outputs: output.outputs.map(withoutDraw) }
}

function echoOf({ text }: AnsweringEngine, { echo }: CompletionRequest): Echo | null {
  if (!echo) return null
  return {
    textOf: ({ prompt, promptTokenIds }) => prompt ?? text.detokenize(promptTokenIds),
    tokenText: (tokenId) => text.tokenText(tokenId),
  }
}
