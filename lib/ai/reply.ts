import { randomUUID } from 'node:crypto'
import type { LanguageModelV3Content, LanguageModelV3StreamPart } from '@ai-sdk/provider'
import { newId } from '../new-id.js'
import type { Reply, ToolCall } from '../text/reply-parser.js'
import { replyReader, type ReplyContext, type ReplyReader } from '../text/reply-reader.js'

type Section = 'text' | 'reasoning'

/** Turns a reply, as it comes, into the SDK's parts: thoughts, text, and calls of tools. */
export class ReplyParts {
  readonly #reader: ReplyReader
  #open: { readonly section: Section; readonly id: string } | null = null
  #called = false

  constructor(context: ReplyContext) {
    this.#reader = replyReader(context)
  }

  /** Whether the reply called a tool so far. */
  get called(): boolean {
    return this.#called
  }

  push(text: string): readonly LanguageModelV3StreamPart[] {
    return this.#partsOf(this.#reader.push(text))
  }

  /** The last parts. */
  end(): readonly LanguageModelV3StreamPart[] {
    return [...this.#partsOf(this.#reader.end('')), ...this.#close()]
  }

  #partsOf({ reasoning, content, toolCalls }: Reply): readonly LanguageModelV3StreamPart[] {
    return [
      ...this.#write('reasoning', reasoning),
      ...this.#write('text', content),
      ...toolCalls.flatMap((call) => [...this.#close(), ...this.#call(call)]),
    ]
  }

  #write(section: Section, delta: string): readonly LanguageModelV3StreamPart[] {
    if (delta === '') return []
    if (this.#open?.section === section) {
      return [{ type: `${section}-delta`, id: this.#open.id, delta }]
    }
    const closing = this.#close()
    const id = randomUUID()
    this.#open = { section, id }
    return [...closing, { type: `${section}-start`, id }, { type: `${section}-delta`, id, delta }]
  }

  #close(): readonly LanguageModelV3StreamPart[] {
    const open = this.#open
    this.#open = null
    return open === null ? [] : [{ type: `${open.section}-end`, id: open.id }]
  }

  #call({ name, arguments: input }: ToolCall): readonly LanguageModelV3StreamPart[] {
    this.#called = true
    const id = newId('call_')
    return [
      { type: 'tool-input-start', id, toolName: name },
      { type: 'tool-input-delta', id, delta: input },
      { type: 'tool-input-end', id },
      { type: 'tool-call', toolCallId: id, toolName: name, input },
    ]
  }
}

/** The parts of a stream, each section as one. */
export function contentOf(parts: readonly LanguageModelV3StreamPart[]): LanguageModelV3Content[] {
  const content: LanguageModelV3Content[] = []
  for (const part of parts) {
    if (part.type === 'tool-call') content.push(part)
    if (part.type === 'text-start') content.push({ type: 'text', text: '' })
    if (part.type === 'reasoning-start') content.push({ type: 'reasoning', text: '' })
    const last = content.at(-1)
    const adds = part.type === 'text-delta' || part.type === 'reasoning-delta'
    if (adds && last && 'text' in last) last.text += part.delta
  }
  return content
}
