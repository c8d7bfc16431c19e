import {
  checkArray,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkText,
  isRecord,
  recordOf,
  refuseOthers,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { ChatOptions } from '../engine/call-options.js'
import { EngineError } from '../errors.js'
import { readSampling } from '../openai/params.js'
import { cacheSaltOf } from '../openai/request.js'
import type { ReplyRequest } from '../openai/reply-reader.js'
import { readFormat, withShapes } from '../openai/response-format.js'
import { readFlatTools } from '../openai/tools.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { readTurns } from './turns.js'

/** A body of /v1/messages, read. */
export interface MessagesRequest extends ReplyRequest {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly stream: boolean
  readonly turns: readonly ChatTurn[]
  /** The reply shows the model's thoughts. */
  readonly showsThoughts: boolean
}

/**
 * Reads a body of /v1/messages. Throws TypeError or RangeError naming the field, EngineError
 * `not_supported` for what cannot be granted; sampling values are checked by the engine.
 *
 * @example
 * parseMessagesRequest({ max_tokens: 16, messages: [{ role: 'user', content: 'Hi' }] })
 */
export function parseMessagesRequest(body: unknown): MessagesRequest {
  if (!isRecord(body)) throw wrongType('body', 'an object', body)
  const sampling = readSampling('/v1/messages', body)
  checkContextManagement(body)
  const { turns, toolsFound } = readTurns(body)
  const { forcedCall, tools, ...calling } = readFlatTools(inChatForm(body, toolsFound))
  const { effort, format } = readOutputConfig(body)
  const thinking = readThinking(body)
  return {
    model: body.model == null ? null : checkText('model', body.model),
    stream: checkBoolean('stream', body.stream ?? false),
    turns,
    params: withShapes(sampling, body, { forcedCall, format }),
    chat: {
      variables: {
        ...thinking.variables,
        ...(effort !== null && { reasoning_effort: effort }),
        ...recordOf('chat_template_kwargs', body.chat_template_kwargs),
      },
      ...endOf(turns),
      ...(tools && { tools }),
      ...cacheSaltOf(body),
    },
    ...calling,
    includeReasoning: true,
    showsThoughts: thinking.shown,
  }
}

/** The reply goes on with the assistant's message, if that is the last one. */
function endOf(turns: readonly ChatTurn[]): ChatOptions {
  const last = turns.at(-1)!
  return last.role === 'assistant' && last.tool_calls === undefined
    ? { continueFinalMessage: true }
    : {}
}

/** Variables by which templates turn thoughts on and off. A model thinks where it is asked to. */
function readThinking({ thinking }: RawOptions) {
  const { type, budget_tokens: budget, display, ...others } = recordOf('thinking', thinking)
  const kind = thinking == null ? 'disabled' : checkChoice('thinking.type', type, KINDS)
  const thinks = kind !== 'disabled'
  const shown = checkChoice('thinking.display', display ?? 'summarized', DISPLAYS) === 'summarized'
  if (budget != null) checkInteger('thinking.budget_tokens', budget, { min: 0 })
  refuseOthers('thinking', others)
  const thinking_budget = thinks ? budget : 0
  return {
    shown: thinks && shown,
    variables: {
      ...{ enable_thinking: thinks, thinking: thinks },
      ...(thinking_budget != null && { thinking_budget }),
    },
  }
}

const KINDS = ['enabled', 'adaptive', 'disabled'] as const
/** `updates` is what a model tells of its work in place of its thoughts: nothing here. */
const DISPLAYS = ['summarized', 'omitted', 'updates'] as const

function readOutputConfig({ output_config: config }: RawOptions) {
  const { effort, format, ...others } = recordOf('output_config', config)
  refuseOthers('output_config', others)
  return {
    effort: effort == null ? null : checkText('output_config.effort', effort),
    format: readFormat('output_config.format', format, (described) => described),
  }
}

/** Which earlier thoughts a model sees is its template's to say; nothing else is taken out. */
function checkContextManagement({ context_management: given }: RawOptions): void {
  const { edits = [], ...others } = recordOf('context_management', given)
  refuseOthers('context_management', others)
  checkArray('context_management.edits', edits, (name, edit) => {
    const { type, keep: _, ...rest } = recordOf(name, edit)
    if (type !== 'clear_thinking_20251015')
      throw new EngineError(
        'not_supported',
        `${name}: edits of type ${String(type)} are not supported`,
      )
    refuseOthers(name, rest)
  })
}

/**
 * `tools` and `tool_choice` as chats of OpenAI's API have them, without the tools that wait to be found.
 */
function inChatForm(
  { tools, tool_choice: choice }: RawOptions,
  found: ReadonlySet<string>,
): RawOptions {
  const { type, name, disable_parallel_tool_use, ...others } = recordOf('tool_choice', choice)
  const alone = checkBoolean(
    'tool_choice.disable_parallel_tool_use',
    disable_parallel_tool_use ?? false,
  )
  const kind = choice == null ? 'auto' : checkChoice('tool_choice.type', type, CHOICES)
  refuseOthers('tool_choice', kind === 'tool' ? others : { ...others, name })
  return {
    tools: checkArray('tools', tools ?? [], toolInChatForm).flatMap(({ deferred, tool }) =>
      deferred && !found.has(tool.function.name) ? [] : [tool],
    ),
    tool_choice:
      kind === 'tool'
        ? { type: 'function', function: { name: checkText('tool_choice.name', name) } }
        : kind === 'any'
          ? 'required'
          : kind,
    parallel_tool_calls: !alone,
  }
}

const CHOICES = ['auto', 'any', 'tool', 'none'] as const

function toolInChatForm(name: string, tool: unknown) {
  if (!isRecord(tool)) throw wrongType(name, '{ name, description, input_schema }', tool)
  const { name: called, description, input_schema: parameters } = tool
  const type = checkText(`${name}.type`, tool.type ?? 'custom')
  if (type !== 'custom')
    throw new EngineError('not_supported', `${name}: tools of type ${type} are not supported`)
  if (!isRecord(parameters)) throw wrongType(`${name}.input_schema`, 'an object', parameters)
  const described = description == null ? {} : { description }
  const named = { name: checkText(`${name}.name`, called), ...described }
  const deferred = checkBoolean(`${name}.defer_loading`, tool.defer_loading ?? false)
  return { deferred, tool: { type: 'function', function: { ...named, parameters } } }
}
