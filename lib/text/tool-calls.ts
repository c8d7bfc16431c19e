import type { ToolFormat } from './reply-format.js'

/** A call that a model asks for. */
export interface ToolCall {
  readonly name: string
  /** A JSON object, as text. */
  readonly arguments: string
}

/** How a format marks its calls. */
export interface ToolMarks {
  readonly open: string
  /** null: the calls last to the end of the reply. */
  readonly close: string | null
}

export const TOOL_MARKS: Readonly<Record<ToolFormat, ToolMarks>> = {
  hermes: { open: '<tool_call>', close: '</tool_call>' },
  mistral: { open: '[TOOL_CALLS]', close: null },
  llama3: { open: '<|python_tag|>', close: null },
}

/** Reads what stood between the marks; null where it is no call. */
export function readToolCalls(format: ToolFormat, text: string): readonly ToolCall[] | null {
  const calls = format === 'mistral' ? readMistral(text) : readJsonCalls(text)
  return calls !== null && calls.length > 0 ? calls : null
}

/** What stands between semicolons or line ends; those within strings are part of it. */
const PIECE = /(?:"(?:[^"\\]|\\.)*"?|[^";\n])+/gs

/** One object, several apart by semicolons or line ends, or an array of them; null for anything else. */
export function readJsonCalls(text: string): readonly ToolCall[] | null {
  const whole = parse(text)
  const pieces = () => (text.match(PIECE) ?? []).filter(hasText).map(parse)
  const calls = (whole === undefined ? pieces() : [whole].flat()).map(callOf)
  return calls.every((call) => call !== null) ? calls : null
}

/** A JSON array, or since version 11 of its tokenizer `name{…}` and `name[ARGS]{…}`. */
function readMistral(text: string): readonly ToolCall[] | null {
  if (text.trimStart().startsWith('[')) return readJsonCalls(text)
  const calls = text.split('[TOOL_CALLS]').filter(hasText).map(readNamed)
  return calls.every((call) => call !== null) ? calls : null
}

function readNamed(text: string): ToolCall | null {
  const [, name, json] = /^\s*([\w.-]+)(?:\[ARGS\])?\s*(\{.*\})\s*$/s.exec(text) ?? []
  if (name === undefined || json === undefined || parse(json) === undefined) return null
  return { name, arguments: json }
}

function callOf(value: unknown): ToolCall | null {
  if (typeof value !== 'object' || value === null) return null
  const { name, arguments: args, parameters } = value as Record<string, unknown>
  if (typeof name !== 'string') return null
  const given = args ?? parameters ?? {}
  return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function hasText(text: string): boolean {
  return text.trim() !== ''
}
