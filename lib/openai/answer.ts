import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { OutputStream } from '../engine/calls.js'
import type { RequestOutput } from '../engine/outputs.js'
import { readsSpecialTokens } from '../text/reply-reader.js'
import { ChatChoice, ChunkWriter, CompletionChoice, type Chunk } from './chunks.js'
import { mergeStreams } from './merge-streams.js'
import { ChatReplyReader } from './reply-reader.js'
import type { ChatRequest, CompletionRequest, OpenAiRequest } from './request.js'
import { chatBody, completionBody, type Echo, type ResponseHead } from './response.js'

/** What an answer needs of an engine. */
export type AnsweringEngine = Pick<
  LLMEngine,
  'generate' | 'stream' | 'chat' | 'chatStream' | 'text'
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
    return completionBody(head, outputs, echoOf(engine, request))
  }
  const output = await engine.chat(request.messages, ...chatArguments(engine, request, call))
  const { chatTemplate } = engine.text
  return chatBody(head, output, (text) =>
    new ChatReplyReader(request, chatTemplate, output.prompt).read(text, true),
  )
}

/** Answers a request by chunks as they are made, those of one moment together. */
export function answerInChunks(
  engine: AnsweringEngine,
  request: OpenAiRequest,
  head: ResponseHead,
  call: CallOptions,
): AsyncGenerator<readonly Chunk[], void, undefined> {
  return request.endpoint === '/v1/completions'
    ? completionChunks(engine, request, head, call)
    : chatChunks(engine, request, head, call)
}

async function* completionChunks(
  engine: AnsweringEngine,
  request: CompletionRequest,
  head: ResponseHead,
  call: CallOptions,
): AsyncGenerator<readonly Chunk[], void, undefined> {
  const { prompts, params } = request
  const writer = new ChunkWriter(head, 'text_completion', request)
  const echo = echoOf(engine, request)
  const streams = prompts.map((prompt) => engine.stream(prompt, params, call))
  const begun = new Set<OutputStream>()
  const choices = new Map<number, CompletionChoice>()
  for await (const { source, item: delta } of mergeStreams(streams)) {
    const stream = streams[source]!
    const output = () => stream.output()!
    if (!begun.has(stream)) writer.addPrompt(output())
    begun.add(stream)
    const index = source * (params.n ?? 1) + delta.index
    const choice = choices.get(index) ?? new CompletionChoice(index, echo)
    choices.set(index, choice)
    writer.addTokens(delta.tokenIds.length)
    const written = choice.write(delta, output)
    if (written !== null) yield [writer.write(written)]
  }
  yield writer.end()
}

async function* chatChunks(
  engine: AnsweringEngine,
  request: ChatRequest,
  head: ResponseHead,
  call: CallOptions,
): AsyncGenerator<readonly Chunk[], void, undefined> {
  const writer = new ChunkWriter(head, 'chat.completion.chunk', request)
  const stream = engine.chatStream(request.messages, ...chatArguments(engine, request, call))
  const choices = new Map<number, ChatChoice>()
  let begun: RequestOutput | null = null
  for await (const delta of stream) {
    if (begun === null) {
      begun = stream.output()!
      writer.addPrompt(begun)
    }
    let choice = choices.get(delta.index)
    if (choice === undefined) {
      const reader = new ChatReplyReader(request, engine.text.chatTemplate, begun.prompt)
      choice = new ChatChoice(delta.index, reader)
      choices.set(delta.index, choice)
    }
    writer.addTokens(delta.tokenIds.length)
    const written = choice.write(delta)
    if (written.length > 0) yield written.map((each) => writer.write(each))
  }
  yield writer.end()
}

/** What the engine is called with for a chat, beside its messages. */
export function chatArguments(
  { text }: AnsweringEngine,
  request: Pick<ChatRequest, 'params' | 'chat' | 'toolUse'>,
  call: CallOptions,
) {
  const { params, chat, toolUse } = request
  const special = readsSpecialTokens(text.chatTemplate, toolUse)
  return [special ? { skipSpecialTokens: false, ...params } : params, { ...chat, ...call }] as const
}

function echoOf({ text }: AnsweringEngine, { echo }: CompletionRequest): Echo | null {
  if (!echo) return null
  return {
    textOf: ({ prompt, promptTokenIds }) => prompt ?? text.detokenize(promptTokenIds),
    tokenText: (tokenId) => text.tokenText(tokenId),
  }
}
