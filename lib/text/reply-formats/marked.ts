import type { Beginning, Section, SectionEnd } from './section.js'
import { thoughtsBehind, type ThoughtMarks, type Thoughts } from './thoughts.js'
import { allCalls, type CallFormat, type CallableTool, type ToolCall } from './tool-call.js'

/** A reply whose thoughts and calls stand between marks. */
export interface MarkedFormat {
  readonly thoughts: ThoughtMarks | null
  /** null: none are looked for. */
  readonly calls: CallFormat | null
  /** What may be called. */
  readonly tools: readonly CallableTool[]
}

/** What a marked reply begins with: thoughts, where its prompt ended within them. */
export function markedSection({ thoughts, calls, tools }: MarkedFormat, prompt: string): Section {
  const read = (text: string, closed: boolean) => calls?.read(text, closed, tools) ?? null
  const between = (close: string | null): Section => ({
    ...{ kind: 'calls', read },
    ends: close === null ? [] : [{ mark: close, next: text }],
  })
  const callOpens = (calls?.marks ?? []).map(({ open, close }) => ({
    ...{ mark: open, next: () => between(close) },
  }))
  const thoughtOpens = endsAt(thoughts?.open, reasoning)
  const special = thoughts?.special ?? false

  function reasoning(): Section {
    const within = special && calls?.special === true ? callOpens : []
    return { kind: 'reasoning', ends: [...endsAt(thoughts?.close, answer), ...within] }
  }

  function text(): Section {
    return { kind: 'content', ends: [...thoughtOpens, ...callOpens] }
  }

  /** Behind thoughts. */
  function answer(): Section {
    const { ends } = text()
    return bare({ kind: 'content', ends: [...ends, ...endsAt(thoughts?.answer, answer)] })
  }

  /** A section that may be calls without a mark instead. */
  function bare(section: Section): Section {
    if (calls?.bare === undefined) return section
    const begins = { as: calls.bare, otherwise: () => section }
    return { kind: 'calls', read: offered, ends: [], begins }
  }

  /** Other text may look like calls: only of what may be called it is. */
  function offered(text: string, closed: boolean): readonly ToolCall[] | null {
    const found = read(text, closed) ?? []
    const known = ({ name }: ToolCall) => tools.some((tool) => tool.name === name)
    return allCalls(found.map((call) => (known(call) ? call : null)))
  }

  if (thoughtsBehind(prompt, thoughts)?.begun === true) return reasoning()
  return special ? answer() : bare(text())
}

/** What follows a grammar, where no mark is one, perhaps behind thoughts. */
export function structuredSection(thoughts: Thoughts | null): Section {
  const text = (): Section => ({ kind: 'content', ends: [] })
  if (thoughts === null) return text()
  const { begun, open, close } = thoughts
  const reasoning = (): Section => ({ kind: 'reasoning', ends: endsAt(close, text) })
  if (begun) return reasoning()
  const begins = { as: beginningOf(open), otherwise: text }
  return { kind: 'content', ends: endsAt(open, reasoning), begins }
}

function beginningOf(marks: readonly string[]): Beginning {
  const quoted = (text: string) => text.replace(/[^\w\s]/g, '\\$&')
  const parts = marks.flatMap((mark) => Array.from(mark, (_, i) => quoted(mark.slice(0, i))))
  return new RegExp(`^(?:(${marks.map(quoted).join('|')})|(?:${parts.join('|')})$)`)
}

function endsAt(marks: readonly string[] = [], next: () => Section): readonly SectionEnd[] {
  return marks.map((mark) => ({ mark, next }))
}
