import { newId } from '../new-id.js'
import type { ToolCall } from './reply-formats/tool-call.js'

/** A call of a tool in OpenAI's form, as the assistant's turn has it in `tool_calls`. */
export interface ToolCallTurn {
  /** The tool's turn refers to it by `tool_call_id`. */
  readonly id: string
  readonly type: 'function'
  readonly function: {
    readonly name: string
    /** A JSON object, as text. */
    readonly arguments: string
  }
}

/** A call with an id by which its result refers to it. */
export function toolCallTurn({ name, arguments: args }: ToolCall): ToolCallTurn {
  return { id: newId('call_'), type: 'function', function: { name, arguments: args } }
}
