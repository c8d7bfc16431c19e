import {
  checkArray,
  checkBoolean,
  checkText,
  isRecord,
  outOfRange,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { StructuredOutputs } from '../structured/spec.js'
import { callOf } from '../structured/tool-call.js'
import type { ToolUse } from '../text/reply-reader.js'
import { withName } from './errors.js'

/** A tool in OpenAI's form; its other fields are for the template. */
interface Tool {
  readonly function: { readonly name: string; readonly parameters?: object | null }
}

/** What a body says of tools. */
export interface ToolRequest {
  /** What the template describes; null for none. */
  readonly tools: readonly object[] | null
  readonly toolUse: ToolUse
  /** The call that the reply must be; null where it need not be one. */
  readonly forcedCall: StructuredOutputs | null
  readonly parallelToolCalls: boolean
}

/**
 * Reads `tools`, `tool_choice` and `parallel_tool_calls`. Throws TypeError or RangeError naming the
 * field.
 */
export function readTools(body: RawOptions): ToolRequest {
  const tools = checkArray('tools', body.tools ?? [], checkTool)
  const parallelToolCalls = checkBoolean('parallel_tool_calls', body.parallel_tool_calls ?? true)
  const choice = body.tool_choice ?? 'auto'
  if (choice === 'none' || (choice === 'auto' && tools.length === 0)) {
    return { tools: null, toolUse: 'none', forcedCall: null, parallelToolCalls }
  }
  if (choice === 'auto') return { tools, toolUse: 'allowed', forcedCall: null, parallelToolCalls }
  const callable = chosenTools(choice, tools).map(({ function: { name, parameters = null } }) => ({
    ...{ name, parameters },
  }))
  return { tools, toolUse: 'forced', forcedCall: callOf(callable), parallelToolCalls }
}

/** The same for bodies that have no field `function` around what they choose. */
export function readFlatTools(inChatForm: RawOptions): ToolRequest {
  try {
    return readTools(inChatForm)
  } catch (error) {
    throw withName(error, /^tool_choice\.function/, 'tool_choice')
  }
}

/** The tools of which a choice forces a call of one. */
function chosenTools(choice: unknown, tools: readonly Tool[]): readonly Tool[] {
  const named = isRecord(choice) && choice.type === 'function' ? choice.function : null
  if (choice !== 'required' && !isRecord(named)) {
    const expected = "'auto', 'none', 'required' or { type: 'function', function: { name } }"
    throw outOfRange('tool_choice', expected, choice)
  }
  if (tools.length === 0) throw outOfRange('tools', 'at least one that can be called', tools)
  if (!isRecord(named)) return tools
  const chosen = tools.filter((tool) => tool.function.name === named.name)
  if (chosen.length > 0) return chosen
  throw outOfRange('tool_choice.function.name', 'the name of one of tools', named.name)
}

function checkTool(name: string, tool: unknown): Tool {
  if (!isRecord(tool)) throw wrongType(name, "{ type: 'function', function }", tool)
  const { type, function: described } = tool
  if (type !== 'function') throw wrongType(`${name}.type`, '"function"', type)
  if (!isRecord(described)) throw wrongType(`${name}.function`, 'an object', described)
  checkText(`${name}.function.name`, described.name)
  const { parameters = null } = described
  if (parameters !== null && !isRecord(parameters)) {
    throw wrongType(`${name}.function.parameters`, 'an object', parameters)
  }
  return tool as RawOptions & Tool
}
