import {
  checkArray,
  checkString,
  checkText,
  isRecord,
  outOfRange,
  wrongType,
  type RawOptions,
} from '../../check.js'
import { EngineError } from '../../errors.js'
import { newId } from '../../new-id.js'
import type { ChatTurn, TextPart } from '../../text/chat-turns.js'
import { fullName } from './tools.js'

/** An item of a response's input or output, as OpenAI's API has it. */
export type Item = Readonly<Record<string, unknown>> & { readonly type: string }

/** Roles of messages; a developer's message is a system's to chat templates. */
const ROLES: Readonly<Record<string, string>> = {
  user: 'user',
  assistant: 'assistant',
  system: 'system',
  developer: 'system',
}
const TEXT_PARTS = ['input_text', 'output_text', 'text']

/** The items of `input`, each with an id and its type. Throws TypeError or RangeError naming the field. */
export function readItems(input: unknown): readonly Item[] {
  if (typeof input === 'string') return [withId({ type: 'message', role: 'user', content: input })]
  if (!Array.isArray(input)) throw wrongType('input', 'a string or an array of items', input)
  if (input.length === 0) throw outOfRange('input', 'at least one item', input)
  return checkArray('input', input, (name, item) => {
    if (!isRecord(item)) throw wrongType(name, 'an item', item)
    const { type = 'message' } = item
    return withId({ ...item, type: checkText(`${name}.type`, type) })
  })
}

const PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  function_call: 'fc',
  function_call_output: 'fco',
  reasoning: 'rs',
}

/** A new id of an item of that type. */
export function itemId(type: string): string {
  return newId(`${PREFIXES[type] ?? 'item'}_`)
}

function withId(item: Item): Item {
  return typeof item.id === 'string' ? item : { ...item, id: itemId(item.type) }
}

/**
 * Items as turns of a chat: calls of functions join the assistant's turn before them, earlier thoughts
 * are left out, as templates do by themselves. Throws TypeError or RangeError naming the field,
 * EngineError `not_supported` for items of other kinds.
 */
export function turnsOfItems(items: readonly Item[]): readonly ChatTurn[] {
  const turns: ChatTurn[] = []
  const names = new Map<unknown, string>()
  items.forEach((item, i) => {
    const name = `input[${i}]`
    switch (item.type) {
      case 'message':
        turns.push({
          role: roleOf(name, item.role),
          content: textOf(`${name}.content`, item.content),
        })
        return
      case 'function_call': {
        const called = fullName(checkText(`${name}.name`, item.name), item.namespace)
        names.set(item.call_id, called)
        addCall(turns, callOf(name, item, called))
        return
      }
      case 'function_call_output': {
        const id = checkText(`${name}.call_id`, item.call_id)
        const content = textOf(`${name}.output`, item.output)
        turns.push({ role: 'tool', tool_call_id: id, name: names.get(id), content })
        return
      }
      case 'reasoning':
        return
      default:
        throw new EngineError(
          'not_supported',
          `${name}: items of type ${item.type} are not supported`,
        )
    }
  })
  return turns
}

/** Turns of one role that follow each other as one: many templates refuse two of them. */
export function joinTurns(turns: readonly ChatTurn[]): readonly ChatTurn[] {
  const joined: ChatTurn[] = []
  for (const turn of turns) {
    const last = joined.at(-1)
    const joins = last?.role === turn.role && turn.role !== 'tool' && last.tool_calls === undefined
    if (joins) joined.pop()
    joined.push(joins ? { ...turn, content: [last, turn].flatMap(textParts) } : turn)
  }
  return joined
}

function textParts({ content }: ChatTurn): readonly TextPart[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
}

function roleOf(name: string, role: unknown): string {
  const known = typeof role === 'string' ? ROLES[role] : undefined
  if (known !== undefined) return known
  throw outOfRange(`${name}.role`, Object.keys(ROLES).join(' or '), role)
}

/** A text, or the texts of its parts. */
function textOf(name: string, content: unknown): string {
  if (typeof content === 'string') return content
  return checkArray(name, content, (partName, part) => {
    if (!isRecord(part)) throw wrongType(partName, 'a part of a message', part)
    if (part.type === 'refusal') return checkString(`${partName}.refusal`, part.refusal)
    if (TEXT_PARTS.includes(String(part.type))) return checkString(`${partName}.text`, part.text)
    throw new EngineError(
      'not_supported',
      `${partName}: parts of type ${String(part.type)} are not supported`,
    )
  }).join('')
}

function callOf(name: string, item: RawOptions, called: string) {
  const id = checkText(`${name}.call_id`, item.call_id)
  const args = checkString(`${name}.arguments`, item.arguments)
  return { id, type: 'function', function: { name: called, arguments: args } }
}

function addCall(turns: ChatTurn[], call: object): void {
  const last = turns.at(-1)
  const joins = last?.role === 'assistant'
  const calls = joins ? ((last.tool_calls ?? []) as readonly object[]) : []
  const turn = joins ? turns.pop()! : { role: 'assistant', content: '' }
  turns.push({ ...turn, tool_calls: [...calls, call] })
}
