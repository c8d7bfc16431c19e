import { wrongType } from '../check.js'
import type { ChatTurn } from '../text/chat-turns.js'
import { checkChatOptions, type ChatOptions } from './call-options.js'
import type { Intake } from './intake.js'
import { checkTokenIds, type Prompt } from './prompt.js'

/** A model's text: tokens and chat prompts, with nothing computed. */
export class EngineText {
  readonly #intake: Intake

  constructor(intake: Intake) {
    this.#intake = intake
  }

  /** The chat template's source; null where the model has none. */
  get chatTemplate(): string | null {
    return this.#intake.chatTemplate?.source ?? null
  }

  /** The same of a chat: with tools, some models have a template of its own. */
  chatTemplateFor(chat: Pick<ChatOptions, 'tools'>): string | null {
    return this.#intake.chatTemplate?.sourceFor(chat) ?? null
  }

  /**
   * The tokens of a prompt as a request would have them. Throws TypeError for what is no prompt.
   *
   * @example
   * await engine.text.tokenize('Once upon a time') // Int32Array of 4 ids
   */
  async tokenize(
    prompt: Prompt,
    { addSpecialTokens }: { readonly addSpecialTokens?: boolean } = {},
  ): Promise<Int32Array> {
    const parsed = this.#intake.parse(prompt)
    const ids = this.#intake.tokenIds({
      ...parsed,
      addSpecialTokens: addSpecialTokens ?? parsed.addSpecialTokens,
    })
    return Int32Array.from(await ids)
  }

  /**
   * The text of tokens, special ones included. Throws RangeError for an id that the model has not.
   *
   * @example
   * engine.text.detokenize([1, 2, 3])
   */
  detokenize(tokenIds: readonly number[] | Int32Array): string {
    if (!Array.isArray(tokenIds) && !(tokenIds instanceof Int32Array)) {
      throw wrongType('tokens', 'an array of integers', tokenIds)
    }
    checkTokenIds(tokenIds, this.#intake.vocabSize, 'tokens')
    return this.#intake.tokenizer.decode(tokenIds, { skipSpecialTokens: false })
  }

  /** The text of one token; bytes of an unfinished character show as U+FFFD. */
  tokenText(tokenId: number): string {
    return this.#intake.tokenizer.tokenText(tokenId)
  }

  /** The prompt that a chat becomes; see {@link LLMEngine.chat}. */
  renderChat(messages: readonly ChatTurn[], options: ChatOptions = {}): string {
    return this.#intake.renderChat(messages, checkChatOptions(options)).text ?? ''
  }
}
