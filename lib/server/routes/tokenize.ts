import { checkArray, checkBoolean, checkInteger, checkText, type RawOptions } from '../../check.js'
import type { EngineText } from '../../engine/engine-text.js'
import { readChat, readFields } from '../../openai/request.js'
import { json, type Reply } from '../exchange.js'
import { readJson } from '../read-body.js'
import type { Exchange, Route } from '../router.js'

/** Texts and chats to tokens, and back: vLLM's routes. */
export const tokenizeRoutes: readonly Route[] = [
  { method: 'POST', path: '/tokenize', answer: tokenize },
  { method: 'POST', path: '/detokenize', answer: detokenize },
]

async function tokenize(exchange: Exchange): Promise<Reply> {
  const { text, maxModelLen } = exchange.context.engine
  const body = await readBodyOf(exchange, TOKENIZE_FIELDS)
  const tokens = [...(await tokensOf(text, body))]
  const strings = checkBoolean('return_token_strs', body.return_token_strs ?? false)
  return json(200, {
    count: tokens.length,
    max_model_len: maxModelLen,
    tokens,
    token_strs: strings ? tokens.map((id) => text.tokenText(id)) : null,
  })
}

async function detokenize(exchange: Exchange): Promise<Reply> {
  const body = await readBodyOf(exchange, ['tokens'])
  const tokens = checkArray('tokens', body.tokens, (name, id) => checkInteger(name, id))
  return json(200, { prompt: exchange.context.engine.text.detokenize(tokens) })
}

/** Of a chat, the prompt that it becomes. */
function tokensOf(text: EngineText, body: RawOptions): Promise<Int32Array> {
  const special = checkBoolean(
    'add_special_tokens',
    body.add_special_tokens ?? body.messages === undefined,
  )
  if (body.messages === undefined) {
    const prompt = checkText('prompt', body.prompt)
    return text.tokenize(prompt, { addSpecialTokens: special })
  }
  const { messages, chat } = readChat(body)
  return text.tokenize(text.renderChat(messages, chat), { addSpecialTokens: special })
}

/** Those of a text, and those of a chat that become its prompt. */
const TOKENIZE_FIELDS = [
  ...['prompt', 'messages', 'add_special_tokens', 'return_token_strs'],
  ...['tools', 'chat_template_kwargs', 'reasoning_effort', 'documents'],
  ...['add_generation_prompt', 'continue_final_message'],
]

async function readBodyOf(
  { context, incoming }: Exchange,
  fields: readonly string[],
): Promise<RawOptions> {
  const given = await readJson(incoming, context.config.maxBodyBytes)
  const body = readFields(given, incoming.path, new Set(['model', ...fields]))
  context.models.find(body.model === undefined ? null : checkText('model', body.model))
  return body
}
