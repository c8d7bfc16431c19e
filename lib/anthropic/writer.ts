import type { NamedEvent } from '../openai/streamed-answer.js'
import type { Reply, ToolCall } from '../text/reply-parser.js'
import { toolCallTurn } from '../text/tool-call-turn.js'

/** A block of a message's content. */
type Block = Readonly<Record<string, unknown>> & { readonly type: string }

interface OpenBlock {
  readonly section: 'text' | 'thinking'
  text: string
}

/** Nobody checks it, but clients keep only thoughts that have one. */
const SIGNATURE = 'unsigned'

/** Writes a reply, as it comes, as blocks of content: thoughts, texts and calls, one after the other. */
export class BlockWriter {
  /** Blocks that are finished. */
  readonly blocks: Block[] = []
  readonly #showsThoughts: boolean
  #open: OpenBlock | null = null

  constructor(showsThoughts: boolean) {
    this.#showsThoughts = showsThoughts
  }

  get called(): boolean {
    return this.blocks.some(({ type }) => type === 'tool_use')
  }

  /** What a piece of the reply adds. */
  write({ content, reasoning, toolCalls }: Reply): readonly NamedEvent[] {
    return [
      ...(this.#showsThoughts ? this.#add('thinking', reasoning) : []),
      ...this.#add('text', content),
      ...toolCalls.flatMap((call) => [...this.#close(), ...this.#call(call)]),
    ]
  }

  /** Ends the block that is open; a reply of nothing is an empty text. */
  end(): readonly NamedEvent[] {
    const begun = (this.#open ?? this.blocks[0]) ? [] : this.#begin('text')
    return [...begun, ...this.#close()]
  }

  #add(section: OpenBlock['section'], text: string): readonly NamedEvent[] {
    if (text === '') return []
    const begun = this.#open?.section === section ? [] : [...this.#close(), ...this.#begin(section)]
    this.#open!.text += text
    return [...begun, this.#delta({ type: `${section}_delta`, [section]: text })]
  }

  #begin(section: OpenBlock['section']): readonly NamedEvent[] {
    this.#open = { section, text: '' }
    const content_block =
      section === 'text'
        ? { type: 'text', text: '' }
        : { type: 'thinking', thinking: '', signature: '' }
    return [{ type: 'content_block_start', index: this.blocks.length, content_block }]
  }

  #close(): readonly NamedEvent[] {
    if (this.#open === null) return []
    const { section, text } = this.#open
    this.#open = null
    if (section === 'text') return [this.#finish({ type: 'text', text })]
    return [
      this.#delta({ type: 'signature_delta', signature: SIGNATURE }),
      this.#finish({ type: 'thinking', thinking: text, signature: SIGNATURE }),
    ]
  }

  /** A call comes whole. */
  #call(call: ToolCall): readonly NamedEvent[] {
    const { id } = toolCallTurn(call)
    const { name, arguments: partial_json } = call
    const block = { type: 'tool_use', id, name, input: {} }
    return [
      { type: 'content_block_start', index: this.blocks.length, content_block: block },
      this.#delta({ type: 'input_json_delta', partial_json }),
      this.#finish({ ...block, input: JSON.parse(partial_json) as unknown }),
    ]
  }

  #delta(delta: object): NamedEvent {
    return { type: 'content_block_delta', index: this.blocks.length, delta }
  }

  #finish(block: Block): NamedEvent {
    return { type: 'content_block_stop', index: this.blocks.push(block) - 1 }
  }
}
