import { hasText, type CallFormat, type CallableTool } from './tool-call.js'
import { typedCall } from './typed-value.js'

/** Qwen3-Coder: a tag for the function and one for each parameter. It may leave out the outer tag. */
export const QWEN_CODER: CallFormat = {
  shownBy: (template) => template.includes('<tool_call>') && template.includes('<function='),
  marks: [
    { open: '<tool_call>', close: '</tool_call>' },
    { open: '<function=', close: '</function>' },
  ],
  special: false,
  read: readFunction,
}

/** Seed-OSS: the same tags within its own. */
export const SEED: CallFormat = {
  shownBy: (template) => template.includes('<seed:tool_call>'),
  marks: [{ open: '<seed:tool_call>', close: '</seed:tool_call>' }],
  special: true,
  read: readFunction,
}

const FUNCTION = /^\s*(?:<function=)?([^\s<>]+)\s*>(.*?)(<\/function>)?\s*$/s
/** A parameter that is not closed ends where the next one begins, or the function ends. */
const PARAMETER = /<parameter=([^<>]+)>\n?(.*?)\n?(?:<\/parameter>|(?=<parameter=)|$)/gs

function readFunction(text: string, closed: boolean, tools: readonly CallableTool[]) {
  const [, name, body = '', end] = FUNCTION.exec(text) ?? []
  const whole = closed || end !== undefined
  if (name === undefined || !whole || hasText(body.replace(PARAMETER, ''))) return null
  const args = Array.from(body.matchAll(PARAMETER), ([, key, value]) => [key!, value!] as const)
  return [typedCall(name, args, tools)]
}
