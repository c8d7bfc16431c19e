import {
  checkArray,
  checkBoolean,
  checkString,
  checkText,
  isRecord,
  outOfRange,
  refuseOthers,
  wrongType,
  type RawOptions,
} from '../check.js'
import { EngineError } from '../errors.js'
import type { ChatTurn, TextPart } from '../text/chat-turns.js'

/** Blocks that a message may hold, by its role. */
const BLOCKS: Readonly<Record<string, readonly string[]>> = {
  user: ['text', 'tool_result'],
  assistant: ['text', 'thinking', 'redacted_thinking', 'tool_use'],
  system: ['text'],
}

interface OpenTurn extends ChatTurn {
  readonly content: TextPart[]
  reasoning_content?: string
  tool_calls?: object[]
}

/** A conversation, read. */
export interface Conversation {
  readonly turns: readonly ChatTurn[]
  /** Names of tools that results refer to. */
  readonly toolsFound: ReadonlySet<string>
}

/**
 * `system` and `messages` as turns of a chat: messages of one role that follow each other are one turn,
 * results of tools are turns of their own. Throws TypeError or RangeError naming the field, EngineError
 * `not_supported` for blocks that are no text.
 */
export function readTurns({ system, messages }: RawOptions): Conversation {
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array', messages)
  if (messages.length === 0) throw outOfRange('messages', 'at least one message', messages)
  const chat = new Chat()
  if (system != null) chat.add('system', { role: 'system', content: system }, 'system')
  checkArray('messages', messages, (name, message) => {
    if (!isRecord(message)) throw wrongType(name, 'an object with role and content', message)
    const { role, content, ...others } = message
    refuseOthers(name, others)
    chat.add(name, { role, content }, `${name}.content`)
  })
  if (chat.turns.length === 0) throw outOfRange('messages', 'a message with content', messages)
  return chat
}

/** Turns while messages are added to them. */
class Chat implements Conversation {
  readonly turns: ChatTurn[] = []
  readonly toolsFound = new Set<string>()
  /** Of tools, by the ids of their calls. */
  readonly #names = new Map<string, string>()
  /** What the next block of the same role joins. */
  #open: OpenTurn | null = null

  add(name: string, { role, content }: RawOptions, contentName: string): void {
    const known = typeof role === 'string' && Object.hasOwn(BLOCKS, role) ? BLOCKS[role] : undefined
    if (known === undefined)
      throw outOfRange(`${name}.role`, Object.keys(BLOCKS).join(' or '), role)
    const turn = () => this.#turnOf(String(role))
    if (typeof content === 'string') {
      turn().content.push({ type: 'text', text: content })
      return
    }
    checkArray(contentName, content, (blockName, block) => {
      this.#addBlock(blockName, checkBlock(blockName, block, known), turn)
    })
  }

  #addBlock(name: string, block: RawOptions, turn: () => OpenTurn): void {
    switch (block.type) {
      case 'text':
        turn().content.push(textPart(name, block))
        return
      case 'thinking': {
        const thoughts = checkString(`${name}.thinking`, block.thinking)
        const open = turn()
        open.reasoning_content = (open.reasoning_content ?? '') + thoughts
        return
      }
      case 'tool_use': {
        const open = turn()
        open.tool_calls = [...(open.tool_calls ?? []), this.#call(name, block)]
        return
      }
      case 'tool_result':
        this.#addResult(name, block)
    }
  }

  #call(name: string, { id, name: tool, input }: RawOptions): object {
    const callId = checkText(`${name}.id`, id)
    const called = checkText(`${name}.name`, tool)
    if (!isRecord(input)) throw wrongType(`${name}.input`, 'an object', input)
    this.#names.set(callId, called)
    const args = JSON.stringify(input)
    return { id: callId, type: 'function', function: { name: called, arguments: args } }
  }

  #addResult(name: string, { tool_use_id, content = '', is_error }: RawOptions): void {
    const id = checkText(`${name}.tool_use_id`, tool_use_id)
    const parts =
      typeof content === 'string'
        ? content
        : checkArray(`${name}.tool_result.content`, content, (partName, part) =>
            this.#resultPart(partName, checkBlock(partName, part, ['text', 'tool_reference'])),
          )
    const failed = checkBoolean(`${name}.is_error`, is_error ?? false) && { is_error }
    const named = { tool_call_id: id, name: this.#names.get(id) }
    this.turns.push({ role: 'tool', ...named, content: parts, ...failed })
    this.#open = null
  }

  #resultPart(name: string, part: RawOptions): TextPart {
    if (part.type === 'text') return textPart(name, part)
    const tool = checkText(`${name}.tool_name`, part.tool_name)
    this.toolsFound.add(tool)
    return { type: 'text', text: `Tool found: ${tool}\n` }
  }

  #turnOf(role: string): OpenTurn {
    if (this.#open?.role === role) return this.#open
    const turn: OpenTurn = { role, content: [] }
    this.turns.push(turn)
    this.#open = turn
    return turn
  }
}

/** A block of a known type; errors name the others by their types, as Anthropic's API does. */
function checkBlock(name: string, block: unknown, known: readonly string[]): RawOptions {
  if (!isRecord(block)) throw wrongType(name, 'a block of content', block)
  const type = checkText(`${name}.type`, block.type)
  if (known.includes(type)) return block
  const expected = known.map((each) => `'${each}'`).join(' or ')
  throw new EngineError(
    'not_supported',
    `${name}.${type}: blocks of type ${type} are not supported here, only ${expected}`,
  )
}

function textPart(name: string, { text }: RawOptions): TextPart {
  return { type: 'text', text: checkString(`${name}.text`, text) }
}
