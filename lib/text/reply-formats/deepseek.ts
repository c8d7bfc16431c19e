import { isJsonObject } from './json-calls.js'
import { allCalls, hasText, type CallFormat, type ToolCall } from './tool-call.js'

const CALL = '<｜tool▁call▁begin｜>'

/**
 * DeepSeek: each call between two tokens, and a third one between its parts. V3 and R1 write the type,
 * the name and a block of JSON, V3.1 the name and JSON.
 */
export const DEEPSEEK: CallFormat = {
  shownBy: (template) => template.includes('<｜tool▁calls▁begin｜>'),
  marks: [{ open: '<｜tool▁calls▁begin｜>', close: '<｜tool▁calls▁end｜>' }],
  special: true,
  read: (text) => allCalls(text.split(CALL).filter(hasText).map(callOf)),
}

const PARTS = /^\s*(\S+?)<｜tool▁sep｜>(.*?)(?:<｜tool▁call▁end｜>)?\s*$/s
const BLOCK = /^\s*(\S+)\s*```(?:json)?\s*(\{.*\})\s*```$/s

function callOf(text: string): ToolCall | null {
  const [, first, rest = ''] = PARTS.exec(text) ?? []
  const [, name = first, args = rest.trim()] = BLOCK.exec(rest) ?? []
  if (name === undefined || !isJsonObject(args)) return null
  return { name, arguments: args }
}
