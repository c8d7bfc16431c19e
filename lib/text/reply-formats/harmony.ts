import { isJsonObject } from './json-calls.js'
import type { Section } from './section.js'
import type { CallableTool } from './tool-call.js'

const START = '<|start|>'
const MESSAGE = '<|message|>'
/** The role, or what follows it where the prompt ended with it. */
const HEADER = /^\s*(?:$|(<\||to=)|(?:<|t|to)$)/

/**
 * GPT-OSS: messages, each behind a header that names its channel and whom it is for: thoughts in
 * `analysis`, calls for `functions.…`, text in `final` and, for the user all the same, in `commentary`.
 */
export class Harmony {
  /** null: none are looked for. */
  readonly #tools: readonly CallableTool[] | null

  constructor(tools: readonly CallableTool[] | null) {
    this.#tools = tools
  }

  /** What a reply begins with: a header, or the message that its prompt ended within. */
  begin(prompt: string): Section {
    const turn = prompt.split(START).at(-1)!
    const [header = '', ...message] = turn.split(MESSAGE)
    const within = message.length > 0 && !turn.includes('<|end|>')
    return within ? this.#message(header) : this.#perhapsHeader()
  }

  /** A model may leave the header out: what does not begin as one is a message. */
  #perhapsHeader(): Section {
    return { ...this.#header(), begins: { as: HEADER, otherwise: () => this.#message('') } }
  }

  #header(): Section {
    return { kind: 'header', ends: [{ mark: MESSAGE, next: (header) => this.#message(header) }] }
  }

  #message(header: string): Section {
    const next = () => this.#perhapsHeader()
    const closed = ['<|end|>', '<|call|>', '<|return|>'].map((mark) => ({ mark, next }))
    const ends = [...closed, { mark: START, next: () => this.#header() }]
    const name = this.#calledBy(header)
    if (name !== null) return { kind: 'calls', ends, read: (text) => readCall(name, text) }
    const kind = header.includes('<|channel|>analysis') ? 'reasoning' : 'content'
    return { kind, ends, apart: true }
  }

  /** The function that a message is for; a model may leave out that it is one. */
  #calledBy(header: string): string | null {
    const [, functions, name] = /\bto=(functions\.)?([^\s<]+)/.exec(header) ?? []
    if (name === undefined || this.#tools === null) return null
    return functions !== undefined || this.#tools.some((tool) => tool.name === name) ? name : null
  }
}

function readCall(name: string, text: string) {
  const args = text.trim() === '' ? '{}' : text.trim()
  return isJsonObject(args) ? [{ name, arguments: args }] : null
}
