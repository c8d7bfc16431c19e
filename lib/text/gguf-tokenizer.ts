import { basename } from 'node:path'
import { EngineError } from '../errors.js'
import { metadataOf, type GgufFile } from '../weights/gguf.js'
import { bytePairPreTokenizer, hasBeginToken, ignoresMerges } from './gguf-pre-tokenizers.js'
import { mergesOfScores } from './sentencepiece-merges.js'
import type { TokenizerConfig, TokenizerJson, TokenizerSource } from './tokenizer-files.js'
import { BYTE_LEVEL, BYTE_PAIRS, splitMerges, surroundings } from './tokenizer-parts.js'

/** Kinds of tokens in `tokenizer.ggml.token_type`. */
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4

/**
 * Makes a GGUF file's tokenizer into a tokenizer.json and a tokenizer_config.json.
 * Throws EngineError `invalid_file` for lists that do not fit, and `unsupported_model` for a kind of
 * tokenizer, or of pre-tokenizer, that is not known.
 *
 * @example
 * const { tokenizerJson, config } = ggufTokenizer(await readGguf('model.gguf'))
 * const tokenizer = new Tokenizer(tokenizerJson, config)
 */
export function ggufTokenizer(file: GgufFile): TokenizerSource {
  const vocabulary = readVocabulary(file)
  const parts = KINDS[vocabulary.kind]
  if (!parts)
    throw new EngineError(
      'unsupported_model',
      `${vocabulary.file}: tokenizer.ggml.model ${vocabulary.kind} is not supported; supported are ${Object.keys(KINDS).join(', ')}`,
    )
  const json = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    post_processor: postProcessor(vocabulary),
    ...parts(vocabulary),
  }
  return { tokenizerJson: json, config: tokenizerConfig(vocabulary) }
}

type Metadata = ReturnType<typeof metadataOf>

interface Vocabulary {
  /** The file's name, for errors. */
  readonly file: string
  readonly fields: Metadata
  readonly kind: string
  readonly tokens: readonly string[]
  readonly types: readonly number[]
  readonly scores: readonly number[]
  readonly merges: readonly string[]
}

function readVocabulary(gguf: GgufFile): Vocabulary {
  const file = basename(gguf.path)
  const fields = metadataOf(gguf)
  const tokens = fields.strings('tokenizer.ggml.tokens')
  const list = (name: string): readonly number[] => {
    const values = fields.numbers(`tokenizer.ggml.${name}`)
    if (values.length !== 0 && values.length !== tokens.length)
      throw new EngineError(
        'invalid_file',
        `${file}: tokenizer.ggml.${name} must have one value for each of ${tokens.length} tokens, found ${values.length}`,
      )
    return values
  }
  if (tokens.length === 0)
    throw new EngineError('invalid_file', `${file}: tokenizer.ggml.tokens is missing`)
  return {
    file,
    fields,
    kind: fields.text('tokenizer.ggml.model'),
    tokens,
    types: list('token_type'),
    scores: list('scores'),
    merges: fields.strings('tokenizer.ggml.merges'),
  }
}

type Parts = Pick<TokenizerJson, 'model' | 'decoder'> &
  Readonly<Record<'normalizer' | 'pre_tokenizer', object | null>>

const KINDS: Readonly<Record<string, (vocabulary: Vocabulary) => Parts>> = {
  gpt2: byteLevelParts,
  llama: sentencePieceParts,
}

function byteLevelParts({ fields, file, tokens, merges }: Vocabulary): Parts {
  const name = fields.text('tokenizer.ggml.pre', 'default')
  return {
    ...bytePairPreTokenizer(name, file),
    decoder: BYTE_LEVEL,
    model: {
      ...BYTE_PAIRS,
      ignore_merges: ignoresMerges(name),
      vocab: idsOf(tokens),
      merges: splitMerges(merges, `${file}: tokenizer.ggml.merges`),
    },
  }
}

/** SentencePiece's BPE: the merges follow from the scores, and unknown characters fall to bytes. */
function sentencePieceParts(vocabulary: Vocabulary): Parts {
  const { tokens, scores, types } = vocabulary
  const unknown = types.indexOf(UNKNOWN)
  return {
    ...spaceMarks(vocabulary),
    pre_tokenizer: null,
    model: {
      ...BYTE_PAIRS,
      unk_token: tokens[unknown] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: idsOf(tokens),
      merges: mergesOfScores(tokens, scores),
    },
  }
}

/** SentencePiece writes a space as ▁, and most models put one before a text. */
function spaceMarks({ fields }: Vocabulary): Pick<Parts, 'normalizer' | 'decoder'> {
  const prefix = fields.flag('tokenizer.ggml.add_space_prefix', true)
  const mark = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  const unmark = { type: 'Replace', pattern: { String: '▁' }, content: ' ' }
  const bytes = [unmark, { type: 'ByteFallback' }, { type: 'Fuse' }]
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 }
  return {
    normalizer: prefix
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, mark] }
      : mark,
    decoder: { type: 'Sequence', decoders: prefix ? [...bytes, strip] : bytes },
  }
}

function idsOf(tokens: readonly string[]): ReadonlyMap<string, number> {
  const ids = new Map<string, number>()
  for (let id = 0; id < tokens.length; id++) ids.set(tokens[id]!, id)
  return ids
}

function addedTokens({ tokens, types }: Vocabulary): TokenizerJson['added_tokens'] {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
  const found: TokenizerJson['added_tokens'][number][] = []
  for (const [id, type] of types.entries()) {
    const special = type === CONTROL || type === UNKNOWN
    if (special || type === USER_DEFINED)
      found.push({ id, content: tokens[id]!, ...flags, special })
  }
  return found
}

/** Puts the begin and the end token around a text, where the model wants them. */
function postProcessor(vocabulary: Vocabulary): object | null {
  const { fields, kind, tokens } = vocabulary
  const begins = kind === 'llama' || hasBeginToken(fields.text('tokenizer.ggml.pre', ''))
  const around = (name: string, isAdded: boolean): string | null => {
    const added = fields.flag(`tokenizer.ggml.add_${name}_token`, isAdded)
    const id = added ? tokenId(vocabulary, `${name}_token_id`) : null
    return id === null ? null : tokens[id]!
  }
  return surroundings(around('bos', begins), around('eos', false), (token) => tokens.indexOf(token))
}

function tokenizerConfig(vocabulary: Vocabulary): TokenizerConfig {
  const token = (name: string): string | null =>
    vocabulary.tokens[tokenId(vocabulary, name) ?? -1] ?? null
  return {
    bos_token: token('bos_token_id'),
    eos_token: token('eos_token_id'),
    pad_token: token('padding_token_id'),
    unk_token: token('unknown_token_id'),
    chat_template: chatTemplates(vocabulary.fields),
  }
}

/** One template, or two where chats with tools have their own. */
function chatTemplates(fields: Metadata): unknown {
  const text = (name: string) => (fields.has(name) ? fields.text(name) : null)
  const template = text('tokenizer.chat_template')
  const toolTemplate = text('tokenizer.chat_template.tool_use')
  if (template === null || toolTemplate === null) return template
  return [
    { name: 'default', template },
    { name: 'tool_use', template: toolTemplate },
  ]
}

/** The id of a special token, null where there is none. */
function tokenId({ fields, file, tokens }: Vocabulary, name: string): number | null {
  const [id] = fields.ids(`tokenizer.ggml.${name}`)
  if (id === undefined) return null
  if (id < tokens.length) return id
  throw new EngineError(
    'invalid_file',
    `${file}: tokenizer.ggml.${name} must be below ${tokens.length}, found ${id}`,
  )
}
