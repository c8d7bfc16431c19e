import { join } from 'node:path'
import { Template } from '@huggingface/jinja'
import { EngineError, withCause } from '../errors.js'
import { templateTurns, turnFormOf, type ChatTurn, type TurnForm } from './chat-turns.js'
import { loadTokenizerConfig, readIfThere } from './tokenizer-files.js'

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
  readonly #template: ParsedTemplate
  readonly #toolTemplate: ParsedTemplate

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

  /**
   * A user's own: a file, or the template itself; null: none.
   *
   * @throws EngineError `invalid_file` where there is no such file of Jinja.
   */
  static async given(text: string | null): Promise<ChatTemplate | null> {
    if (text === null) return null
    if (/\{[{%#]/.test(text)) return new ChatTemplate(text)
    const source = await readIfThere(text).catch((cause: unknown) => {
      throw new EngineError('invalid_file', `chatTemplate: ${withCause(cause)}`, { cause })
    })
    if (source !== null) return new ChatTemplate(source)
    throw new EngineError('invalid_file', `chatTemplate: there is no file ${text}`)
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
    const { jinja, form } = options.tools ? this.#toolTemplate : this.#template
    const turns = templateTurns(messages, form)
    const continues = options.continueFinalMessage ?? false
    try {
      const text = jinja.render({
        ...options.variables,
        messages: turns,
        add_generation_prompt: options.addGenerationPrompt ?? !continues,
        tools: options.tools ?? null,
        bos_token: options.bosToken ?? '',
        eos_token: options.eosToken ?? '',
      })
      return continues ? endWithin(text, turns.at(-1)?.content ?? '') : text
    } catch (cause) {
      throw new TypeError(`chat template: ${withCause(cause)}`, { cause })
    }
  }
}

/** A prompt up to the end of its last message's content. */
function endWithin(prompt: string, content: string): string {
  const at = prompt.lastIndexOf(content.trim())
  if (content.trim() === '' || at < 0) {
    throw new TypeError('the last message is not in the prompt as it is, and cannot be continued')
  }
  return prompt.slice(0, at + content.trim().length)
}

interface ParsedTemplate {
  readonly jinja: Template
  readonly form: TurnForm
}

function parseTemplate(source: string): ParsedTemplate {
  try {
    return { jinja: new Template(source), form: turnFormOf(source) }
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
