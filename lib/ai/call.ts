import type {
  LanguageModelV3CallOptions,
  LanguageModelV3FunctionTool,
  SharedV3Warning,
} from '@ai-sdk/provider'
import { isRecord, wrongType, type RawOptions } from '../check.js'
import type { ChatOptions } from '../engine/call-options.js'
import type { EngineText } from '../engine/engine-text.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { StructuredOutputs } from '../structured/spec.js'
import { callOf } from '../structured/tool-call.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { readsSpecialTokens, type ReplyContext } from '../text/reply-reader.js'
import { chatTurnsOf } from './messages.js'

/** A call of the SDK in the engine's terms. */
export interface EngineCall {
  readonly messages: readonly ChatTurn[]
  readonly params: SamplingOptions
  readonly options: ChatOptions
  /** How the reply is read, once its prompt is known. */
  readonly reply: Omit<ReplyContext, 'prompt'>
  readonly warnings: SharedV3Warning[]
}

/** Options that only this provider knows: SamplingOptions, `variables` and `cacheSalt`, as `providerOptions: { octavo: … }`. */
const OWN_OPTIONS = 'octavo'

export function engineCallOf(
  options: LanguageModelV3CallOptions,
  text: Pick<EngineText, 'chatTemplateFor'>,
): EngineCall {
  const tools = offeredTools(options)
  const forced = options.toolChoice?.type === 'required' || options.toolChoice?.type === 'tool'
  const toolUse = tools.length === 0 ? 'none' : forced ? 'forced' : 'allowed'
  const structuredOutputs = forced ? callOfOne(tools) : formatOf(options)
  const { abortSignal, providerOptions } = options
  const { variables, cacheSalt, ...own } = providerOptions?.[OWN_OPTIONS] ?? {}
  const chat = tools.length > 0 ? { tools: tools.map(describe) } : {}
  const template = text.chatTemplateFor(chat)
  const params = {
    ...{ maxTokens: options.maxOutputTokens, temperature: options.temperature, seed: options.seed },
    ...{ topP: options.topP, topK: options.topK, stop: options.stopSequences },
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    ...(readsSpecialTokens(template, toolUse) && { skipSpecialTokens: false }),
    ...own,
    ...(structuredOutputs && { structuredOutputs: withOwn(structuredOutputs, own) }),
  }
  const given = Object.entries(params).filter(([, value]) => value !== undefined)
  return {
    messages: chatTurnsOf(options.prompt),
    params: Object.fromEntries(given),
    // What the SDK lets through as JSON is checked by the engine.
    options: {
      ...(abortSignal && { signal: abortSignal }),
      ...{ ...chat, variables, cacheSalt, readReply: false },
    } as ChatOptions,
    reply: { template, toolUse, structured: params.structuredOutputs, ...chat },
    warnings: warningsOf(options),
  }
}

/** The functions that may be called; of a choice of one, that one. */
function offeredTools({
  tools = [],
  toolChoice,
}: LanguageModelV3CallOptions): readonly LanguageModelV3FunctionTool[] {
  if (toolChoice?.type === 'none') return []
  const functions = tools.filter((tool) => tool.type === 'function')
  if (toolChoice?.type !== 'tool') return functions
  const chosen = functions.filter(({ name }) => name === toolChoice.toolName)
  if (chosen.length > 0) return chosen
  throw new RangeError(`toolChoice: there is no tool "${toolChoice.toolName}"`)
}

function describe({ name, description, inputSchema }: LanguageModelV3FunctionTool) {
  return { type: 'function', function: { name, description, parameters: inputSchema } }
}

function callOfOne(tools: readonly LanguageModelV3FunctionTool[]): StructuredOutputs {
  if (tools.length === 0) throw new RangeError('toolChoice: expected at least one tool, found none')
  const callable = tools.map(({ name, inputSchema }) => ({ name, parameters: inputSchema }))
  return callOf(callable)
}

function formatOf({ responseFormat }: LanguageModelV3CallOptions): StructuredOutputs | undefined {
  if (responseFormat?.type !== 'json') return undefined
  return { json: responseFormat.schema ?? { type: 'object' } }
}

function withOwn(asked: StructuredOutputs, { structuredOutputs: own = {} }: RawOptions): object {
  if (!isRecord(own)) throw wrongType('structuredOutputs', 'an object', own)
  return { ...asked, ...own }
}

function warningsOf({ tools = [], headers }: LanguageModelV3CallOptions): SharedV3Warning[] {
  const foreign = tools.filter((tool) => tool.type !== 'function')
  const warnings: SharedV3Warning[] = foreign.map(({ name }) => ({
    ...{ type: 'unsupported', feature: `provider tool ${name}` },
  }))
  const sent = Object.keys(headers ?? {}).filter((name) => name.toLowerCase() !== 'user-agent')
  if (sent.length > 0) warnings.push({ type: 'unsupported', feature: 'headers' })
  return warnings
}
