import type { ToolCall } from './tool-call.js'

/** A stretch of a reply that is read one way, to the first of its marks or to the end of the reply. */
export type Section = TextSection | CallsSection | HeaderSection

interface AnySection {
  readonly ends: readonly SectionEnd[]
  /** The section is one only if its text begins so; what it is otherwise. */
  readonly begins?: { readonly as: Beginning; readonly otherwise: () => Section }
}

/**
 * Matches what may be the beginning; its first group takes part once that is sure. It looks at the
 * beginning only, so that its work does not grow with the text.
 */
export type Beginning = RegExp

interface TextSection extends AnySection {
  readonly kind: 'content' | 'reasoning'
  /** On a line of its own, apart from earlier text of its kind. */
  readonly apart?: boolean
}

/** Calls of tools, read when they are whole. */
interface CallsSection extends AnySection {
  readonly kind: 'calls'
  /** The calls of a text, `closed` where a mark followed it; null where it is no call. */
  read(text: string, closed: boolean): readonly ToolCall[] | null
}

/** What says how the text behind it is read, and is shown to nobody. */
interface HeaderSection extends AnySection {
  readonly kind: 'header'
}

/** A mark that ends a section, and what follows it. */
export interface SectionEnd {
  readonly mark: string
  next(text: string): Section
}
