import { describe, isRecord, wrongType } from '../check.js'
import { EngineError } from '../errors.js'

/** A part of a message's content. */
export interface TextPart {
  readonly type: 'text'
  readonly text: string
}

/** One turn of a chat, as OpenAI's API has it; other fields pass to the template as they are. */
export interface ChatTurn {
  readonly role: string
  readonly content?: string | readonly TextPart[] | null
  readonly [field: string]: unknown
}

/** A turn as templates have it. */
export interface TemplateTurn {
  readonly role: string
  readonly content: string | null
  readonly [field: string]: unknown
}

/** What a template wants that differs from most; what its source shows. */
export interface TurnForm {
  /** It asks whether a content is none: an absent one is null, not ''. */
  readonly asksForNone: boolean
  /** It joins the arguments of earlier calls to other text: they are JSON, not an object. */
  readonly joinsArguments: boolean
}

const ASKS_FOR_NONE = /\bcontent(?:['"]\])?\s*(?:is\s+(?:not\s+)?|[!=]=\s*)none\b/i
const ARGUMENTS = String.raw`\barguments(?:['"]\])?`
const JOINS_ARGUMENTS = new RegExp(
  String.raw`${ARGUMENTS}\s*[+~]|[+~]\s*(?:[a-z_][\w.[\]'"]*)?${ARGUMENTS}(?!\s*\||[\w'"\]])`,
  'i',
)

/** What the source of a template says of the turns that it wants. */
export function turnFormOf(source: string): TurnForm {
  return {
    asksForNone: ASKS_FOR_NONE.test(source),
    joinsArguments: JOINS_ARGUMENTS.test(source),
  }
}

/** Messages in a template's form. Throws TypeError for what is none, EngineError `not_supported` for parts that are not text. */
export function templateTurns(messages: unknown, form: TurnForm): readonly TemplateTurn[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw wrongType('messages', 'an array of at least one message', messages)
  }
  return (messages as unknown[]).map((message, i) => templateTurn(message, `messages[${i}]`, form))
}

/** Who has a turn only to say something. */
const SPEAKING = ['user', 'system', 'developer']

function templateTurn(message: unknown, where: string, form: TurnForm): TemplateTurn {
  if (!isRecord(message)) throw wrongType(where, 'an object with role and content', message)
  const { role, content, tool_calls: calls, ...others } = message
  if (typeof role !== 'string') throw wrongType(`${where}.role`, 'a string', role)
  const read = contentOf(content, `${where}.content`)
  if (read === null && SPEAKING.includes(role))
    throw wrongType(`${where}.content`, 'a string or an array of parts', content)
  return {
    ...{ role, ...others },
    content: read ?? (form.asksForNone ? null : ''),
    ...(hasCalls(calls) && { tool_calls: callsOf(calls, form) }),
  }
}

/** Parts are joined by line ends, as templates expect a string. */
function contentOf(content: unknown, where: string): string | null {
  if (content === undefined || content === null) return null
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw wrongType(where, 'a string or an array of parts', content)
  return (content as unknown[]).map((part, i) => partOf(part, `${where}[${i}]`)).join('\n')
}

function partOf(part: unknown, where: string): string {
  if (typeof part !== 'object' || part === null)
    throw wrongType(where, "{ type: 'text', text }", part)
  const { type, text } = part as Record<string, unknown>
  if (type !== 'text') {
    throw new EngineError(
      'not_supported',
      `${where}: a part of type ${describe(type)} is not supported by this version, only 'text'`,
    )
  }
  if (typeof text !== 'string') throw wrongType(`${where}.text`, 'a string', text)
  return text
}

/** Clients write null or an empty list for no calls, where templates look for the field alone. */
function hasCalls(calls: unknown): boolean {
  return calls !== undefined && calls !== null && !(Array.isArray(calls) && calls.length === 0)
}

function callsOf(calls: unknown, { joinsArguments }: TurnForm): unknown {
  if (!Array.isArray(calls)) return calls
  return (calls as unknown[]).map((call) => {
    if (!isRecord(call) || !isRecord(call.function)) return call
    const { arguments: given, ...others } = call.function
    const args = joinsArguments ? textOf(given) : objectOf(given)
    return { ...call, function: { ...others, arguments: args } }
  })
}

function textOf(args: unknown): string {
  return typeof args === 'string' ? args : JSON.stringify(args ?? {})
}

/** What is no JSON object stays as the model wrote it: the chat goes on, and shows the model its mistake. */
function objectOf(args: unknown): unknown {
  if (args === undefined || args === null || args === '') return {}
  if (typeof args !== 'string') return args
  try {
    const parsed: unknown = JSON.parse(args)
    return isRecord(parsed) ? parsed : args
  } catch {
    return args
  }
}
