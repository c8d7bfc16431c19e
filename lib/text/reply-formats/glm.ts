import { hasText, type CallFormat } from './tool-call.js'
import { typedCall } from './typed-value.js'

/** A key of an argument, and its value. */
const PAIR = /<arg_key>(.*?)<\/arg_key>\s*<arg_value>(.*?)<\/arg_value>/gs

/** GLM 4.5: the name, then a pair of tags for each argument. */
export const GLM: CallFormat = {
  shownBy: (template) => template.includes('<arg_key>'),
  marks: [{ open: '<tool_call>', close: '</tool_call>' }],
  special: false,
  read(text, closed, tools) {
    const [, name, body = ''] = /^\s*([^\s<]+)(.*)$/s.exec(text) ?? []
    if (name === undefined || !closed || hasText(body.replace(PAIR, ''))) return null
    const args = Array.from(body.matchAll(PAIR), ([, key, value]) => [key!.trim(), value!] as const)
    return [typedCall(name, args, tools)]
  },
}
