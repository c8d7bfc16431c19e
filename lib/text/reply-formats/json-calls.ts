import { allCalls, hasText, type CallFormat, type CallMarks, type ToolCall } from './tool-call.js'

/** Hermes and Qwen: an object between each two marks. */
export const HERMES = jsonCalls({ open: '<tool_call>', close: '</tool_call>' })

/** Granite 3: a list behind a token; Phi 4 mini closes it, whose template shows its tools alone. */
export const GRANITE: CallFormat = {
  ...jsonCalls({ open: '<|tool_call|>', close: '<|/tool_call|>' }, true),
  shownBy: (template) => template.includes('<|tool_call|>') || template.includes('<|/tool|>'),
}

/** Phi 4 mini by another template: a list behind a word. */
export const FUNCTOOLS: CallFormat = {
  ...jsonCalls({ open: 'functools', close: null }),
  shownBy: (template) => template.includes('functools['),
}

/** Hunyuan: a list. */
export const HUNYUAN = jsonCalls({ open: '<tool_calls>', close: '</tool_calls>' })

/** Command R7B and A: a list of `{ tool_name, parameters }`. */
export const COMMAND = jsonCalls({ open: '<|START_ACTION|>', close: '<|END_ACTION|>' }, true)

/** Apertus: a list of `{ [name]: arguments }`. */
export const APERTUS: CallFormat = {
  ...jsonCalls({ open: '<|tools_prefix|>', close: '<|tools_suffix|>' }, true),
  read(text) {
    const listed = parseJson(text)
    return Array.isArray(listed) ? allCalls(listed.map(keyedCall)) : null
  },
}

/** Llama 3: behind a token, or as the whole reply. */
export const LLAMA3: CallFormat = {
  ...jsonCalls({ open: '<|python_tag|>', close: null }, true),
  shownBy: (template) =>
    template.includes('tools') &&
    (template.includes('<|python_tag|>') || template.includes('"parameters":')),
  bare: /^\s*(?:$|(\{))/,
}

function jsonCalls(marks: CallMarks, special = false): CallFormat {
  return {
    shownBy: (template) => template.includes(marks.open),
    marks: [marks],
    special,
    read: readJsonCalls,
  }
}

/** What stands between semicolons or line ends; those within strings are part of it. */
const PIECE = /(?:"(?:[^"\\]|\\.)*"?|[^";\n])+/gs

/** One object, several apart by semicolons or line ends, or an array of them; null for anything else. */
export function readJsonCalls(text: string): readonly ToolCall[] | null {
  const whole = parseJson(text)
  const pieces = () => (text.match(PIECE) ?? []).filter(hasText).map(parseJson)
  return allCalls((whole === undefined ? pieces() : [whole].flat()).map(callOf))
}

function callOf(value: unknown): ToolCall | null {
  if (typeof value !== 'object' || value === null) return null
  const { name, tool_name: own, arguments: args, parameters } = value as Record<string, unknown>
  const called = name ?? own
  if (typeof called !== 'string') return null
  const given = args ?? parameters ?? {}
  const text = typeof given === 'string' ? given : writtenJson(given)
  return text !== null && isJsonObject(text) ? { name: called, arguments: text } : null
}

/** null for what nests too deep to be written. */
function writtenJson(value: unknown): string | null {
  try {
    return JSON.stringify(value)
  } catch {
    return null
  }
}

function keyedCall(value: unknown): ToolCall | null {
  if (typeof value !== 'object' || value === null) return null
  const [name, ...others] = Object.keys(value)
  if (name === undefined || others.length > 0) return null
  return callOf({ name, arguments: (value as Record<string, unknown>)[name] })
}

/** undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Whether a text is a JSON object, as arguments are. */
export function isJsonObject(text: string): boolean {
  const value = parseJson(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
