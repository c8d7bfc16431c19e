import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { describe, wrongType } from '../check.js'
import { EngineError, withCause } from '../errors.js'
import { loadTokenizerConfig, readIfThere } from './tokenizer-files.js'

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

export interface RenderOptions {
  /** End with the beginning of the assistant's turn. Default true. */
  readonly addGenerationPrompt?: boolean
  /** End within the last message, for the model to go on with it. Default false. */
  readonly continueFinalMessage?: boolean
  /** Functions that the model may call, as OpenAI's API has them. */
  readonly tools?: readonly object[]
  /** The tokenizer's `bosToken` and `eosToken`. */
  readonly bosToken?: string | null
  readonly eosToken?: string | null
  /** Variables that only this template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>
}

/**
 * A model's chat template: messages to the text that the model was trained on. The text holds its
 * special tokens; encode it with `addSpecialTokens: false`.
 *
 * @example
 * const template = await ChatTemplate.load('models/demo')
 * template.render([{ role: 'user', content: 'Hi' }]) // '<|im_start|>user\nHi<|im_end|>\n…'
 */
export class ChatTemplate {
  /** The Jinja source. */
  readonly source: string
  readonly #toolSource: string
  readonly #template: Template
  readonly #toolTemplate: Template

  /**
   * @param toolSource the template of chats with tools, where a model has one of its own
   * @throws EngineError `invalid_file` for a template that is not Jinja.
   */
  constructor(source: string, toolSource = source) {
    this.source = source
    this.#toolSource = toolSource
    this.#template = parseTemplate(source)
    this.#toolTemplate = parseTemplate(toolSource)
  }

  /**
   * Reads chat_template.jinja of a model folder, or chat_template of its tokenizer_config.json; null
   * where there is neither.
   */
  static async load(folder: string): Promise<ChatTemplate | null> {
    const file = await readIfThere(join(folder, 'chat_template.jinja'))
    return ChatTemplate.from(file ?? (await loadTokenizerConfig(folder)).chat_template)
  }

  /** From `chat_template` of a tokenizer_config.json: a template or a list of named ones. */
  static from(source: unknown): ChatTemplate | null {
    if (typeof source === 'string') return new ChatTemplate(source)
    return Array.isArray(source) ? fromNamed(source as readonly NamedTemplate[]) : null
  }

  /** The Jinja source of a chat with these tools. */
  sourceFor({ tools }: Pick<RenderOptions, 'tools'>): string {
    return tools ? this.#toolSource : this.source
  }

  /**
   * @throws TypeError for messages that are not messages, or that the template refuses; EngineError
   * `not_supported` for content that is not text.
   */
  render(messages: readonly ChatTurn[], options: RenderOptions = {}): string {
    const turns = checkMessages(messages)
    const continues = options.continueFinalMessage ?? false
    try {
      const text = (options.tools ? this.#toolTemplate : this.#template).render({
        ...options.variables,
        messages: turns,
        add_generation_prompt: options.addGenerationPrompt ?? !continues,
        tools: options.tools ?? null,
        bos_token: options.bosToken ?? '',
        eos_token: options.eosToken ?? '',
      })
      return continues ? endWithin(text, turns.at(-1)?.content ?? '') : text
    } catch (cause) {
      // A turn of calls has no content; some templates ask whether there is one, some add it to a text.
      if (turns.some(isSilent)) return this.render(turns.map(withText), options)
      throw new TypeError(`chat template: ${withCause(cause)}`, { cause })
    }
  }
}

/** The assistant says nothing in this turn. */
function isSilent({ role, content }: CheckedTurn): boolean {
  return role === 'assistant' && content === null
}

function withText(turn: CheckedTurn): CheckedTurn {
  return isSilent(turn) ? { ...turn, content: '' } : turn
}

/** A prompt up to the end of its last message's content. */
function endWithin(prompt: string, content: string): string {
  const at = prompt.lastIndexOf(content.trim())
  if (content.trim() === '' || at < 0) {
    throw new TypeError('the last message is not in the prompt as it is, and cannot be continued')
  }
  return prompt.slice(0, at + content.trim().length)
}

function parseTemplate(source: string): Template {
  try {
    return new Template(source)
  } catch (cause) {
    throw new EngineError('invalid_file', `chat template: ${withCause(cause)}`, { cause })
  }
}

interface NamedTemplate {
  readonly name: string
  readonly template: string
}

/** A tokenizer_config.json may hold several templates, one of them for chats with tools. */
function fromNamed(templates: readonly NamedTemplate[]): ChatTemplate | null {
  const named = (wanted: string) => templates.find(({ name }) => name === wanted)?.template
  const source = named('default') ?? templates[0]?.template
  return source === undefined ? null : new ChatTemplate(source, named('tool_use'))
}

interface CheckedTurn extends ChatTurn {
  readonly content: string | null
}

function checkMessages(messages: unknown): readonly CheckedTurn[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw wrongType('messages', 'an array of at least one message', messages)
  }
  return (messages as unknown[]).map((message, i) => checkMessage(message, `messages[${i}]`))
}

/** Who has a turn only to say something. */
const SPEAKING = ['user', 'system', 'developer']

function checkMessage(message: unknown, where: string): CheckedTurn {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw wrongType(where, 'an object with role and content', message)
  }
  const { role, content } = message as Record<string, unknown>
  if (typeof role !== 'string') throw wrongType(`${where}.role`, 'a string', role)
  const read = checkContent(content, `${where}.content`)
  if (read === null && SPEAKING.includes(role))
    throw wrongType(`${where}.content`, 'a string or an array of parts', content)
  return { ...message, role, content: read }
}

/** Parts are joined by line ends, as templates expect a string. */
function checkContent(content: unknown, where: string): string | null {
  if (content === undefined || content === null) return null
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw wrongType(where, 'a string or an array of parts', content)
  return (content as unknown[]).map((part, i) => checkPart(part, `${where}[${i}]`)).join('\n')
}

function checkPart(part: unknown, where: string): string {
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
