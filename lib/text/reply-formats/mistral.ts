import { isJsonObject, readJsonCalls } from './json-calls.js'
import { allCalls, hasText, type CallFormat, type ToolCall } from './tool-call.js'

const OPEN = '[TOOL_CALLS]'

/** Mistral: a list behind a token, or since version 11 of its tokenizer `name{…}` and `name[ARGS]{…}`. */
export const MISTRAL: CallFormat = {
  shownBy: (template) => template.includes(OPEN),
  marks: [{ open: OPEN, close: null }],
  special: true,
  read(text) {
    if (text.trimStart().startsWith('[')) return readJsonCalls(text)
    return allCalls(text.split(OPEN).filter(hasText).map(namedCall))
  },
}

const NAMED = /^\s*([\w.-]+)(?:\[CALL_ID\]\w+)?(?:\[ARGS\])?\s*(\{.*\})\s*$/s

function namedCall(text: string): ToolCall | null {
  const [, name, args] = NAMED.exec(text) ?? []
  if (name === undefined || args === undefined || !isJsonObject(args)) return null
  return { name, arguments: args }
}
