import { checkArray, checkBoolean, checkText, wrongType, type RawOptions } from '../check.js'
import { EngineError } from '../errors.js'

/** What a body says of tools. */
export interface ToolRequest {
  /** What the template describes; null for none. */
  readonly tools: readonly object[] | null
  readonly parseTools: boolean
  readonly parallelToolCalls: boolean
}

/**
 * Reads `tools`, `tool_choice` and `parallel_tool_calls`. Throws TypeError naming the field, EngineError
 * `not_supported` for a choice that forces a call.
 */
export function readTools(body: RawOptions): ToolRequest {
  const given = checkArray('tools', body.tools ?? [], checkTool)
  const choice = body.tool_choice ?? 'auto'
  const parallelToolCalls = checkBoolean('parallel_tool_calls', body.parallel_tool_calls ?? true)
  if (choice !== 'auto' && choice !== 'none') {
    throw new EngineError('not_supported', 'tool_choice: only "auto" and "none" are supported')
  }
  const offered = choice === 'auto' && given.length > 0
  return { tools: offered ? given : null, parseTools: offered, parallelToolCalls }
}

function checkTool(name: string, tool: unknown): object {
  if (typeof tool !== 'object' || tool === null) {
    throw wrongType(name, "{ type: 'function', function }", tool)
  }
  const { type, function: described } = tool as RawOptions
  if (type !== 'function') throw wrongType(`${name}.type`, '"function"', type)
  if (typeof described !== 'object' || described === null) {
    throw wrongType(`${name}.function`, 'an object', described)
  }
  checkText(`${name}.function.name`, (described as RawOptions).name)
  return tool
}
