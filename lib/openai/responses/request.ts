import {
  checkArray,
  checkBoolean,
  checkText,
  isRecord,
  outOfRange,
  recordOf,
  refuseOthers,
  wrongType,
  type RawOptions,
} from '../../check.js'
import { EngineError } from '../../errors.js'
import { readSampling } from '../params.js'
import { cacheSaltOf, checkStreamOptions } from '../request.js'
import type { ReplyRequest } from '../reply-reader.js'
import { readFormat, withShapes } from '../response-format.js'
import { readItems, type Item } from './items.js'
import { readResponseTools, type ResponseTools } from './tools.js'

/** A body of /v1/responses, read. */
export interface ResponsesRequest extends ReplyRequest {
  /** The model that the body names; null if it names none. */
  readonly model: string | null
  readonly stream: boolean
  readonly store: boolean
  readonly previousId: string | null
  readonly instructions: string | null
  readonly items: readonly Item[]
  readonly namespaced: ResponseTools['namespaced']
  /** Fields that the response repeats. */
  readonly echoed: Readonly<Record<string, unknown>>
}

const LOGPROBS = 'message.output_text.logprobs'
/** Thoughts come as their text; nothing is encrypted. */
const ENCRYPTED = 'reasoning.encrypted_content'

/**
 * Reads a body of /v1/responses. Throws TypeError or RangeError naming the field, EngineError
 * `not_supported` for what cannot be granted; sampling values are checked by the engine.
 *
 * @example
 * parseResponsesRequest({ input: 'Hi', max_output_tokens: 16 })
 */
export function parseResponsesRequest(body: unknown): ResponsesRequest {
  if (!isRecord(body)) throw wrongType('body', 'an object', body)
  const sampling = readSampling('/v1/responses', body)
  checkStreamOptions(recordOf('stream_options', body.stream_options))
  const logprobs = readLogprobs(body)
  const { forcedCall, tools, ...calling } = readResponseTools(body)
  const format = readFormat('text.format', textOf(body).format, (described) => described)
  return {
    model: textOrNull(body, 'model'),
    stream: checkBoolean('stream', body.stream ?? false),
    store: checkBoolean('store', body.store ?? true),
    previousId: textOrNull(body, 'previous_response_id'),
    instructions: textOrNull(body, 'instructions'),
    items: readItems(body.input),
    params: {
      ...withShapes(sampling, body, { forcedCall, format }),
      ...(logprobs !== null && { logprobs }),
    },
    chat: { variables: variablesOf(body), ...(tools && { tools }), ...cacheSaltOf(body) },
    ...calling,
    includeReasoning: true,
    echoed: echoOf(body),
  }
}

/** What a response repeats of its request, defaults filled in; how it was drawn, the engine adds. */
function echoOf(body: RawOptions) {
  return {
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null, ...(body.reasoning as object | null | undefined) },
    store: body.store ?? true,
    text: { format: { type: 'text' }, ...textOf(body) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: ((body.tools ?? []) as readonly { type: string }[]).map((tool) =>
      tool.type === 'function'
        ? { ...{ description: null, parameters: null, strict: null }, ...tool }
        : tool,
    ),
    top_logprobs: body.top_logprobs ?? 0,
    truncation: 'disabled',
    background: false,
  }
}

/** Log-probabilities of the text, and of so many further tokens, where `include` asks for them. */
function readLogprobs({ include, top_logprobs: top }: RawOptions): number | null {
  const included = checkArray('include', include ?? [], (name, value) => {
    if (value === LOGPROBS || value === ENCRYPTED) return value
    const known = `"${LOGPROBS}" and "${ENCRYPTED}"`
    throw new EngineError('not_supported', `${name}: only ${known} are supported`)
  })
  if (included.includes(LOGPROBS)) return (top ?? 0) as number
  if (top != null && top !== 0)
    throw outOfRange('top_logprobs', `0 unless include has "${LOGPROBS}"`, top)
  return null
}

function textOf({ text }: RawOptions): RawOptions {
  const { format, verbosity, ...others } = recordOf('text', text)
  refuseOthers('text', verbosity === 'medium' ? others : { ...others, verbosity })
  return format == null ? {} : { format }
}

/** The effort is a variable of templates that know it. No thoughts are summed up: `auto` leaves that open. */
function variablesOf({ reasoning, chat_template_kwargs: given }: RawOptions) {
  const { effort, summary, ...others } = recordOf('reasoning', reasoning)
  refuseOthers('reasoning', summary === 'auto' ? others : { ...others, summary })
  const variables = recordOf('chat_template_kwargs', given)
  return { ...(effort != null && { reasoning_effort: effort }), ...variables }
}

function textOrNull(body: RawOptions, name: string): string | null {
  return body[name] == null ? null : checkText(name, body[name])
}
