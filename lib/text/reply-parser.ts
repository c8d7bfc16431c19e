import type { ReplyFormat, ToolFormat } from './reply-format.js'
import { TOOL_MARKS, readToolCalls, type ToolCall } from './tool-calls.js'

export type { ToolCall } from './tool-calls.js'

/** A reply taken apart, or what a piece of it added. */
export interface Reply {
  content: string
  reasoning: string
  toolCalls: ToolCall[]
}

export interface ReplyParserOptions {
  readonly format: ReplyFormat
  /** Whether calls of tools are looked for. */
  readonly tools: boolean
  /** Whether the prompt ended within the model's thoughts. */
  readonly thinking?: boolean
}

type Section = 'content' | 'reasoning' | 'calls'

const THINK_OPEN = '<think>'
const THINK_CLOSE = '</think>'

/**
 * Takes a model's reply apart as it comes: its thoughts, its text and the tools it calls. What may be
 * the beginning of a mark is held back; calls come whole, and what is no call is text after all.
 *
 * @example
 * const parser = new ReplyParser({ format: { thinks: true, tools: null }, tools: false })
 * parser.push('<think>Hm.</think>Yes') // { reasoning: 'Hm.', content: 'Yes', toolCalls: [] }
 */
export class ReplyParser {
  readonly #thinks: boolean
  readonly #tools: ToolFormat | null
  #section: Section
  /** Not yet given: a possible mark, or calls that are not whole. */
  #held = ''
  /** The mark that the calls began with; '' where they are the whole reply. */
  #opening = ''
  readonly #content = new TrimmedText()
  readonly #reasoning = new TrimmedText()

  constructor({ format, tools, thinking = false }: ReplyParserOptions) {
    this.#thinks = format.thinks
    this.#tools = tools ? format.tools : null
    this.#section = format.thinks && thinking ? 'reasoning' : 'content'
  }

  /** What the next piece of text adds. */
  push(text: string): Reply {
    const reply = emptyReply()
    this.#held += text
    while (this.#advance(reply)) continue
    return reply
  }

  /** The last piece of text, and what was held back. */
  end(text: string): Reply {
    const reply = this.push(text)
    const rest = this.#held
    this.#held = ''
    if (this.#section === 'calls') this.#takeCalls(rest, reply)
    else this.#give(rest, reply)
    return reply
  }

  /** Gives what is certain of the text held; whether a mark was passed and there may be more. */
  #advance(reply: Reply): boolean {
    if (this.#section === 'calls') return this.#advanceCalls(reply)
    if (this.#isBareCall()) {
      this.#section = 'calls'
      return false
    }
    const marks = this.#section === 'reasoning' ? [THINK_CLOSE] : this.#openMarks()
    const found = firstMark(this.#held, marks)
    if (found === null) {
      const certain = this.#held.length - heldBack(this.#held, marks)
      this.#give(this.#held.slice(0, certain), reply)
      this.#held = this.#held.slice(certain)
      return false
    }
    this.#give(this.#held.slice(0, found.at), reply)
    this.#held = this.#held.slice(found.at + found.mark.length)
    this.#enter(found.mark)
    return true
  }

  #enter(mark: string): void {
    if (mark === THINK_OPEN) this.#section = 'reasoning'
    else if (mark === THINK_CLOSE) this.#section = 'content'
    else {
      this.#section = 'calls'
      this.#opening = mark
    }
  }

  #advanceCalls(reply: Reply): boolean {
    const close = this.#tools && TOOL_MARKS[this.#tools].close
    if (close === null) return false
    const end = this.#held.indexOf(close)
    if (end < 0) return false
    const text = this.#held.slice(0, end)
    this.#held = this.#held.slice(end + close.length)
    this.#section = 'content'
    this.#takeCalls(text, reply, close)
    return true
  }

  #takeCalls(text: string, reply: Reply, close = ''): void {
    const calls = this.#tools && readToolCalls(this.#tools, text)
    if (calls) reply.toolCalls.push(...calls)
    else reply.content += this.#content.add(this.#opening + text + close)
  }

  /** Llama's calls may be the whole reply, without a mark. */
  #isBareCall(): boolean {
    const mayBe = this.#tools === 'llama3' && this.#section === 'content' && !this.#content.begun
    return mayBe && this.#held.trimStart().startsWith('{')
  }

  #openMarks(): readonly string[] {
    const marks = this.#tools === null ? [] : [TOOL_MARKS[this.#tools].open]
    return this.#thinks ? [THINK_OPEN, ...marks] : marks
  }

  /** Where there may be thoughts or calls, the space around them is no part of the text. */
  #give(text: string, reply: Reply): void {
    if (this.#section === 'reasoning') reply.reasoning += this.#reasoning.add(text)
    else if (this.#thinks || this.#tools !== null) reply.content += this.#content.add(text)
    else reply.content += text
  }
}

/** A text without the space at its ends, as it comes. */
class TrimmedText {
  /** Shown once text follows it. */
  #space = ''
  #begun = false

  /** Whether there was anything but space. */
  get begun(): boolean {
    return this.#begun
  }

  /** What the next piece shows of the text. */
  add(text: string): string {
    const all = this.#space + text
    const rest = this.#begun ? all : all.trimStart()
    const shown = rest.trimEnd()
    this.#space = rest.slice(shown.length)
    this.#begun ||= shown !== ''
    return shown
  }
}

function emptyReply(): Reply {
  return { content: '', reasoning: '', toolCalls: [] }
}

function firstMark(text: string, marks: readonly string[]) {
  const found = marks
    .map((mark) => ({ mark, at: text.indexOf(mark) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
  return found[0] ?? null
}

/** How many characters at the end may begin a mark. */
function heldBack(text: string, marks: readonly string[]): number {
  const longest = Math.max(0, ...marks.map(({ length }) => length - 1))
  for (let count = Math.min(longest, text.length); count > 0; count--) {
    const end = text.slice(-count)
    if (marks.some((mark) => mark.startsWith(end))) return count
  }
  return 0
}
