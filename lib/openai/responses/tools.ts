import {
  checkArray,
  checkText,
  isRecord,
  recordOf,
  wrongType,
  type RawOptions,
} from '../../check.js'
import { EngineError } from '../../errors.js'
import { readFlatTools, type ToolRequest } from '../tools.js'

/** A function that a namespace holds. */
export interface NamespacedName {
  readonly namespace: string
  readonly name: string
}

export interface ResponseTools extends ToolRequest {
  /** Functions of namespaces, by the names that the model knows. */
  readonly namespaced: ReadonlyMap<string, NamespacedName>
}

/**
 * Reads `tools`, `tool_choice` and `parallel_tool_calls`. Throws TypeError or RangeError naming the
 * field, EngineError `not_supported` for tools that are no functions.
 */
export function readResponseTools(body: RawOptions): ResponseTools {
  const namespaced = new Map<string, NamespacedName>()
  return { ...readFlatTools(inChatForm(body, namespaced)), namespaced }
}

/** A function's name as the model knows it: templates have no namespaces. */
export function fullName(name: string, namespace: unknown): string {
  return typeof namespace === 'string' ? `${namespace}__${name}` : name
}

/** `tools` and `tool_choice` as chats have them: a function's fields in a field of their own. */
function inChatForm(
  { tools, tool_choice: choice, parallel_tool_calls }: RawOptions,
  namespaced: Map<string, NamespacedName>,
): RawOptions {
  const all = checkArray('tools', tools ?? [], (name, tool) => {
    if (!isRecord(tool) || tool.type !== 'namespace') return [functionOf(name, tool)]
    const namespace = checkText(`${name}.name`, tool.name)
    return checkArray(`${name}.tools`, tool.tools, (innerName, inner) => {
      const { type, function: described } = functionOf(innerName, inner)
      const known = fullName(described.name, namespace)
      namespaced.set(known, { namespace, name: described.name })
      return { type, function: { ...described, name: known } }
    })
  }).flat()
  if (!isRecord(choice)) return { tools: all, tool_choice: choice, parallel_tool_calls }
  if (choice.type === 'allowed_tools') {
    const names = checkArray(
      'tool_choice.tools',
      choice.tools,
      (name, tool) => recordOf(name, tool).name,
    )
    const allowed = all.filter((tool) => names.includes(tool.function.name))
    return { tools: allowed, tool_choice: choice.mode, parallel_tool_calls }
  }
  const { name, type } = choice
  return { tools: all, tool_choice: { type, function: { name } }, parallel_tool_calls }
}

function functionOf(name: string, tool: unknown) {
  if (!isRecord(tool)) throw wrongType(name, "{ type: 'function', name, parameters }", tool)
  if (tool.type !== 'function')
    throw new EngineError(
      'not_supported',
      `${name}: tools of type ${String(tool.type)} are not supported`,
    )
  const { type, ...described } = tool
  return { type, function: { ...described, name: checkText(`${name}.name`, described.name) } }
}
