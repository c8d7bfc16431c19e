import { beginsThinking, replyFormatOf } from './reply-format.js'
import { ReplyParser, type Reply } from './reply-parser.js'
import { readJsonCalls } from './tool-calls.js'

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
  /** The model's chat template; null where it has none. */
  readonly template: string | null
  /** What the model answers; null where it is not known as text. */
  readonly prompt: string | null
  readonly tools: ToolUse
}

/**
 * What reads the reply to a prompt.
 *
 * @example
 * const reader = replyReader({ template, prompt, tools: 'allowed' })
 * reader.end('Hello') // { content: 'Hello', reasoning: '', toolCalls: [] }
 */
export function replyReader({ template, prompt, tools }: ReplyContext): ReplyReader {
  if (tools === 'forced') return new ForcedCallReader()
  const format = replyFormatOf(template ?? '')
  const thinking = beginsThinking(prompt ?? '')
  return new ReplyParser({ format, tools: tools === 'allowed', thinking })
}

/** Whether what reads the reply needs special tokens in its text, by which some formats mark calls. */
export function readsSpecialTokens(template: string | null, tools: ToolUse): boolean {
  if (tools !== 'allowed') return false
  const { tools: format } = replyFormatOf(template ?? '')
  return format === 'mistral' || format === 'llama3'
}

/** Reads a reply that is nothing but a call: whole it is a call; cut short it is text, as nobody can call it. */
class ForcedCallReader implements ReplyReader {
  #text = ''

  push(text: string): Reply {
    this.#text += text
    return { content: '', reasoning: '', toolCalls: [] }
  }

  end(text: string): Reply {
    const whole = this.#text + text
    const calls = readJsonCalls(whole)
    return { content: calls === null ? whole : '', reasoning: '', toolCalls: [...(calls ?? [])] }
  }
}
