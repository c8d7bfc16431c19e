import type { ModelFolder } from '../weights/model-folder.js'
import { ChatTemplate } from './chat-template.js'
import { ggufTokenizer } from './gguf-tokenizer.js'
import { Tokenizer } from './tokenizer.js'

/** What turns a model's texts and chats into tokens. */
export interface ModelText {
  readonly tokenizer: Tokenizer
  /** null where the model has none. */
  readonly chatTemplate: ChatTemplate | null
}

/** The tokenizer and chat template of a model, from its folder or its GGUF file; `given` is in its template's place. */
export async function loadText(
  { path, gguf }: ModelFolder,
  given: ChatTemplate | null = null,
): Promise<ModelText> {
  if (gguf) {
    const { tokenizerJson, config } = ggufTokenizer(gguf)
    const tokenizer = new Tokenizer(tokenizerJson, config)
    return { tokenizer, chatTemplate: given ?? ChatTemplate.from(config.chat_template) }
  }
  const [tokenizer, chatTemplate] = await Promise.all([
    Tokenizer.load(path),
    given ?? ChatTemplate.load(path),
  ])
  return { tokenizer, chatTemplate }
}
