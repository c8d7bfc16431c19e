import { isRecord } from '../check.js'
import type { StructuredOutputs } from '../structured/spec.js'
import { replyFormatOf } from './reply-format.js'
import { readJsonCalls } from './reply-formats/json-calls.js'
import { structuredSection } from './reply-formats/marked.js'
import type { Section } from './reply-formats/section.js'
import type { CallableTool } from './reply-formats/tool-call.js'
import { ReplyParser, type Reply } from './reply-parser.js'

/** Whether a reply holds calls of tools: never, where the model wants to, or nothing but one call. */
export type ToolUse = 'none' | 'allowed' | 'forced'

/** Takes a reply apart as it comes. */
export interface ReplyReader {
  /** What the next piece of text adds. */
  push(text: string): Reply
  /** The last piece of text, and what was held back. */
  end(text: string): Reply
}

/** What decides how a reply is read. */
export interface ReplyContext {
  /** The chat template that the prompt was made by; null where the model has none. */
  readonly template: string | null
  /** What the model answers; null where it is not known as text. */
  readonly prompt: string | null
  readonly toolUse: ToolUse
  /** The tools of the chat, in OpenAI's form: some models write arguments that only these give a type. */
  readonly tools?: readonly object[]
  /** The prompt ended within a message, which the reply goes on with. */
  readonly continues?: boolean
  /**
   * What the text of the reply follows: no mark within it is one, and it is no call. Where tools may be
   * called, only JSON is read so: another grammar may be one of calls in the model's form.
   */
  readonly structured?: StructuredOutputs
}

/**
 * What reads the reply to a prompt.
 *
 * @example
 * const reader = replyReader({ template, prompt, toolUse: 'allowed', tools })
 * reader.end('Hello') // { content: 'Hello', reasoning: '', toolCalls: [] }
 */
export function replyReader(context: ReplyContext): ReplyReader {
  const { toolUse, tools = [], structured, continues = false } = context
  const format = replyFormatOf(context.template ?? '')
  const prompt = context.prompt ?? ''
  const parser = (section: Section) => new ReplyParser(section, { continues })
  const behindThoughts = () => parser(structuredSection(format.thoughts(prompt)))
  if (toolUse === 'forced') return new ForcedCallReader(behindThoughts())
  const mayCall = toolUse === 'allowed' && structured?.json === undefined
  if (structured !== undefined && !mayCall) return behindThoughts()
  return parser(format.begin(prompt, toolUse === 'allowed' ? tools.flatMap(callableTool) : null))
}

/** Whether what reads the reply needs special tokens in its text, by which some formats mark what it is. */
export function readsSpecialTokens(template: string | null, toolUse: ToolUse): boolean {
  return replyFormatOf(template ?? '').readsSpecialTokens(toolUse === 'allowed')
}

function callableTool(tool: object): readonly CallableTool[] {
  const described = 'function' in tool ? tool.function : tool
  if (!isRecord(described) || typeof described.name !== 'string') return []
  const { name, parameters } = described
  return [{ name, parameters: isRecord(parameters) ? parameters : null }]
}

/** Reads a reply that is nothing but a call: whole it is a call; cut short it is text, as nobody can call it. */
class ForcedCallReader implements ReplyReader {
  readonly #parser: ReplyParser
  #text = ''

  constructor(parser: ReplyParser) {
    this.#parser = parser
  }

  push(text: string): Reply {
    return this.#keep(this.#parser.push(text))
  }

  end(text: string): Reply {
    const reply = this.#keep(this.#parser.end(text))
    const calls = readJsonCalls(this.#text)
    return calls === null ? { ...reply, content: this.#text } : { ...reply, toolCalls: [...calls] }
  }

  #keep(reply: Reply): Reply {
    this.#text += reply.content
    return { ...reply, content: '' }
  }
}
