import type { OutputDelta } from '../../engine/outputs.js'
import type { Reply, ToolCall } from '../../text/reply-parser.js'
import { chatLogprobs } from '../logprobs.js'
import type { NamedEvent } from '../streamed-answer.js'
import { toolCallTurn } from '../../text/tool-call-turn.js'
import { itemId, type Item } from './items.js'
import type { ResponseTools } from './tools.js'

type Section = 'message' | 'reasoning'
type Status = 'completed' | 'incomplete'

interface OpenItem {
  readonly section: Section
  readonly id: string
  text: string
  readonly logprobs: object[]
}

/** Names of the events of each section's one part. */
const EVENTS = { message: 'response.output_text', reasoning: 'response.reasoning_text' } as const

/** Writes a reply, as it comes, as output items: thoughts, messages and calls, one after the other. */
export class ItemWriter {
  /** Items that are finished. */
  readonly items: Item[] = []
  readonly #topLogprobs: number | null
  readonly #namespaced: ResponseTools['namespaced']
  #open: OpenItem | null = null
  #waiting: object[] = []

  /** How many tokens are scored in the place of each; null: none, nor the token itself. */
  constructor(topLogprobs: number | null, namespaced: ResponseTools['namespaced']) {
    this.#topLogprobs = topLogprobs
    this.#namespaced = namespaced
  }

  /** What a delta adds, read as `reply`. */
  write({ content, reasoning, toolCalls }: Reply, delta: OutputDelta): readonly NamedEvent[] {
    // Tokens whose text is held back belong to the text that comes next.
    if (this.#topLogprobs !== null)
      this.#waiting.push(...chatLogprobs(delta, this.#topLogprobs).content)
    if (reasoning !== '' && content === '') this.#waiting = []
    return [
      ...this.#add('reasoning', reasoning, []),
      ...(content === '' ? [] : this.#add('message', content, this.#waiting.splice(0))),
      ...toolCalls.flatMap((call) => [...this.#close('completed'), ...this.#call(call)]),
    ]
  }

  /** Ends the item that is open; a reply without any text or call is an empty message. */
  end(status: Status): readonly NamedEvent[] {
    const opened = (this.#open ?? this.items[0]) ? [] : this.#begin('message')
    return [...opened, ...this.#close(status)]
  }

  /** The finished items, and the open one as it is. */
  get soFar(): readonly Item[] {
    return this.#open === null
      ? this.items
      : [...this.items, this.#bodyOf(this.#open, 'incomplete')]
  }

  #add(section: Section, delta: string, logprobs: object[]): readonly NamedEvent[] {
    if (delta === '') return []
    const begun =
      this.#open?.section === section ? [] : [...this.#close('completed'), ...this.#begin(section)]
    const open = this.#open!
    open.text += delta
    open.logprobs.push(...logprobs)
    const scored = section === 'message' && { logprobs }
    return [...begun, { type: `${EVENTS[section]}.delta`, ...this.#place(open), delta, ...scored }]
  }

  #begin(section: Section): readonly NamedEvent[] {
    const open: OpenItem = { section, id: itemId(section), text: '', logprobs: [] }
    this.#open = open
    const item = { ...this.#bodyOf(open, 'in_progress'), content: [] }
    return [
      { type: 'response.output_item.added', output_index: this.items.length, item },
      { type: 'response.content_part.added', ...this.#place(open), part: this.#partOf(open) },
    ]
  }

  #close(status: Status): readonly NamedEvent[] {
    const open = this.#open
    if (open === null) return []
    this.#open = null
    const place = this.#place(open)
    const item = this.#bodyOf(open, status)
    const output_index = this.items.push(item) - 1
    const scored = open.section === 'message' && { logprobs: open.logprobs }
    return [
      { type: `${EVENTS[open.section]}.done`, ...place, text: open.text, ...scored },
      { type: 'response.content_part.done', ...place, part: this.#partOf(open) },
      { type: 'response.output_item.done', output_index, item },
    ]
  }

  /** A call comes whole. */
  #call(call: ToolCall): readonly NamedEvent[] {
    const { id: call_id } = toolCallTurn(call)
    const { arguments: args } = call
    const called = this.#namespaced.get(call.name) ?? { name: call.name }
    const id = itemId('function_call')
    const status = 'completed'
    const item = { id, type: 'function_call', call_id, ...called, arguments: args, status }
    const output_index = this.items.push(item) - 1
    const place = { item_id: id, output_index }
    const added = { ...item, arguments: '', status: 'in_progress' }
    return [
      { type: 'response.output_item.added', output_index, item: added },
      { type: 'response.function_call_arguments.delta', ...place, delta: args },
      {
        type: 'response.function_call_arguments.done',
        ...place,
        name: called.name,
        arguments: args,
      },
      { type: 'response.output_item.done', output_index, item },
    ]
  }

  #place({ id }: OpenItem) {
    return { item_id: id, output_index: this.items.length, content_index: 0 }
  }

  #bodyOf(open: OpenItem, status: Status | 'in_progress'): Item {
    const { id, section } = open
    const content = [this.#partOf(open)]
    return section === 'message'
      ? { id, type: 'message', status, role: 'assistant', content }
      : { id, type: 'reasoning', status, summary: [], content }
  }

  #partOf({ section, text, logprobs }: OpenItem) {
    if (section === 'reasoning') return { type: 'reasoning_text', text }
    const scored = this.#topLogprobs !== null && { logprobs: [...logprobs] }
    return { type: 'output_text', text, annotations: [], ...scored }
  }
}
