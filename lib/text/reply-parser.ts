import type { Section, SectionEnd } from './reply-formats/section.js'
import type { ToolCall } from './reply-formats/tool-call.js'

export type { ToolCall } from './reply-formats/tool-call.js'

/** A reply taken apart, or what a piece of it added. */
export interface Reply {
  content: string
  reasoning: string
  toolCalls: ToolCall[]
}

/**
 * Takes a model's reply apart as it comes: its thoughts, its text and the tools it calls. What may be
 * the beginning of a mark is held back; calls come whole, and what is no call is text after all.
 *
 * @example
 * const parser = new ReplyParser(replyFormatOf('… </think> …').begin('', null))
 * parser.push('<think>Hm.</think>Yes') // { reasoning: 'Hm.', content: 'Yes', toolCalls: [] }
 */
export class ReplyParser {
  #section: Section
  /** Not yet known: a possible mark, or what tells which section it is. */
  #held = ''
  /** What is known of a section that is given whole; not searched again, however long it grows. */
  #whole = ''
  /** The mark that the section began with, and a header before it. */
  #opening = ''
  /** Space around thoughts and calls, where there may be any, is no part of the text. */
  readonly #trims: boolean
  readonly #content: TrimmedText
  readonly #reasoning: TrimmedText

  /**
   * Begins with a section; the marks at its end tell which ones follow. `continues`: its text goes on
   * with one before the reply.
   */
  constructor(section: Section, { continues = false }: { readonly continues?: boolean } = {}) {
    this.#section = section
    this.#trims = section.ends.length > 0 || section.begins !== undefined
    this.#content = new TrimmedText(continues)
    this.#reasoning = new TrimmedText(continues && section.kind === 'reasoning')
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
    const unsure = this.#section.kind === 'header' && this.#section.begins !== undefined
    if (unsure) reply.content += this.#content.add(rest)
    else this.#end(rest, '', reply)
    return reply
  }

  /** Gives what is certain of the text held; whether a mark was passed and there may be more. */
  #advance(reply: Reply): boolean {
    if (!this.#begun()) return false
    const { kind, ends } = this.#section
    const found = firstMark(this.#held, ends)
    if (found === null) {
      const certain = this.#held.length - heldBack(this.#held, ends)
      this.#take(this.#held.slice(0, certain), reply)
      this.#held = this.#held.slice(certain)
      return false
    }
    const { at, end } = found
    const text = this.#end(this.#held.slice(0, at), end.mark, reply)
    this.#held = this.#held.slice(at + end.mark.length)
    const next = end.next(text)
    const opened = next.kind === 'calls' && next.begins === undefined
    this.#opening = opened ? (kind === 'header' ? text : '') + end.mark : ''
    this.#enter(next, reply)
    return true
  }

  /** Whether it is sure which section the text is. */
  #begun(): boolean {
    const { begins, ...section } = this.#section
    if (begins === undefined) return true
    const match = begins.as.exec(this.#held)
    if (match?.[1] === undefined && match !== null) return false
    this.#section = match === null ? begins.otherwise() : section
    return this.#begun()
  }

  #enter(section: Section, reply: Reply): void {
    this.#section = section
    if ('apart' in section && section.apart === true) this.#take('\n', reply)
  }

  /** Text within the section. */
  #take(text: string, reply: Reply): void {
    switch (this.#section.kind) {
      case 'reasoning':
        reply.reasoning += this.#reasoning.add(text)
        return
      case 'content':
        reply.content += this.#trims ? this.#content.add(text) : text
        return
      default:
        this.#whole += text
    }
  }

  /** The section's last text, and the mark that ends it if there was one; gives the whole text of a header. */
  #end(last: string, mark: string, reply: Reply): string {
    this.#take(last, reply)
    const section = this.#section
    const text = this.#whole
    this.#whole = ''
    if (section.kind === 'calls') {
      const calls = section.read(text, mark !== '')
      if (calls === null) reply.content += this.#content.add(this.#opening + text + mark)
      else reply.toolCalls.push(...calls)
    }
    return text
  }
}

/** A text without the space at its ends, as it comes. */
class TrimmedText {
  /** Shown once text follows it. */
  #space = ''
  #begun: boolean

  /** @param begun it goes on with one, so that space at its beginning is part of it */
  constructor(begun: boolean) {
    this.#begun = begun
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

function firstMark(text: string, ends: readonly SectionEnd[]) {
  const found = ends
    .map((end) => ({ end, at: text.indexOf(end.mark) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
  return found[0] ?? null
}

/** How many characters at the end may begin a mark. */
function heldBack(text: string, ends: readonly SectionEnd[]): number {
  const longest = Math.max(0, ...ends.map(({ mark }) => mark.length - 1))
  for (let count = Math.min(longest, text.length); count > 0; count--) {
    const end = text.slice(-count)
    if (ends.some(({ mark }) => mark.startsWith(end))) return count
  }
  return 0
}
