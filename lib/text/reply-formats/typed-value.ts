import { isRecord } from '../../check.js'
import { parseJson } from './json-calls.js'
import { pythonValue } from './python-calls.js'
import type { CallableTool, ToolCall } from './tool-call.js'

/** A call whose arguments are bare texts, as JSON of the types that its tool's schema asks for. */
export function typedCall(
  name: string,
  args: readonly (readonly [key: string, text: string])[],
  tools: readonly CallableTool[],
): ToolCall {
  const schema = tools.find((tool) => tool.name === name)?.parameters
  const properties = isRecord(schema) && isRecord(schema.properties) ? schema.properties : {}
  const members = args.map(([key, text]) => {
    return `${JSON.stringify(key)}:${typedValue(text, properties[key])}`
  })
  return { name, arguments: `{${members.join(',')}}` }
}

/** A text where the schema allows one; else JSON, or a value of Python's, if it is either. */
function typedValue(text: string, schema: unknown): string {
  const bare = text.trim()
  if (allows(schema, 'null') && /^(?:null|none)$/i.test(bare)) return 'null'
  if (allows(schema, 'string')) return JSON.stringify(text)
  if (parseJson(bare) !== undefined) return bare
  return pythonValue(bare) ?? JSON.stringify(text)
}

/** Whether a schema names a type: itself or among alternatives. */
function allows(schema: unknown, type: string): boolean {
  if (!isRecord(schema)) return false
  if ([schema.type].flat().includes(type)) return true
  return [schema.anyOf, schema.oneOf].flat().some((option) => allows(option, type))
}
