import type { CallableTool } from '../../structured/tool-call.js'

export type { CallableTool } from '../../structured/tool-call.js'

/** A call that a model asks for. */
export interface ToolCall {
  readonly name: string
  /** A JSON object, as text. */
  readonly arguments: string
}

/** How models write calls of tools. */
export interface CallFormat {
  /** Whether a chat template shows it. */
  shownBy(template: string): boolean
  readonly marks: readonly CallMarks[]
  /** Its marks are special tokens, which the text of a reply must keep. */
  readonly special: boolean
  /** How a reply begins that is calls without a mark. */
  readonly bare?: RegExp
  /**
   * Reads what stood between the marks, `closed` where the second one was there; null where it is no
   * call.
   */
  read(text: string, closed: boolean, tools: readonly CallableTool[]): readonly ToolCall[] | null
}

/** Marks around calls; without the second one they last to the end of the reply. */
export interface CallMarks {
  readonly open: string
  readonly close: string | null
}

/** All of the calls, or null where there is none or one is wrong. */
export function allCalls(calls: readonly (ToolCall | null)[]): readonly ToolCall[] | null {
  return calls.length > 0 && calls.every((call) => call !== null) ? calls : null
}

export function hasText(text: string): boolean {
  return text.trim() !== ''
}
