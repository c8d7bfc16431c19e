import { join } from 'node:path'
import { EngineError } from '../errors.js'
import { Detokenizer } from './detokenizer.js'
import { EncodeWorker } from './encode-worker.js'
import { folderTokenizer } from './folder-tokenizer.js'
import { createLibraryTokenizer, type LibraryTokenizer } from './library-tokenizer.js'
import { THINK } from './reply-formats/thoughts.js'
import { createTokenDecoder } from './token-decoder.js'
import { TokenPieces } from './token-pieces.js'
import { contentOf, parseObject, tokenizerText } from './tokenizer-files.js'
import type { TokenizerConfig, TokenizerJson } from './tokenizer-files.js'

export interface EncodeOptions {
  /** Add what the model expects around a text, such as its begin token. Default true. */
  readonly addSpecialTokens?: boolean
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default true. */
  readonly skipSpecialTokens?: boolean
}

/** Longer texts, in UTF-16 units, are encoded by the worker: about 16 ms of work. */
export const WORKER_FROM = 16_384

/** Parts of tokenizer.json that the library wants to see, if only as null. */
const ABSENT_PARTS = {
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
  added_tokens: [],
}

/**
 * A model's tokenizer: text to token ids and back.
 *
 * @example
 * const tokenizer = await Tokenizer.load('models/demo')
 * tokenizer.decode(tokenizer.encode('Once upon a time')) // 'Once upon a time'
 * await tokenizer.close()
 */
export class Tokenizer {
  readonly bosToken: string | null
  readonly eosToken: string | null
  readonly bosTokenId: number | null
  readonly eosTokenId: number | null
  /** Tokens that are no part of the text. */
  readonly specialTokenIds: ReadonlySet<number>
  /** One more than the highest token id; a model's vocabulary may be padded beyond it. */
  readonly vocabSize: number
  /** The texts of single tokens, from which a {@link Detokenizer} makes a stream. */
  readonly pieces: TokenPieces
  readonly #library: LibraryTokenizer
  readonly #worker: EncodeWorker

  /**
   * @param tokenizerJson tokenizer.json: its text, or what that says
   * @throws EngineError `invalid_file` where that is no tokenizer, `unsupported_model` where it is
   * of a kind that cannot be streamed.
   */
  constructor(tokenizerJson: string | TokenizerJson, config: TokenizerConfig = {}) {
    const json = completeJson(tokenizerJson)
    this.#library = createLibraryTokenizer(json, config)
    const tokens = this.#library.model.vocab
    this.vocabSize = tokens.length
    this.bosToken = contentOf(config.bos_token)
    this.eosToken = contentOf(config.eos_token)
    this.bosTokenId = this.#idOf(this.bosToken)
    this.eosTokenId = this.#idOf(this.eosToken)
    this.specialTokenIds = this.#findSpecialIds(json, config)
    this.pieces = new TokenPieces(
      {
        tokens,
        addedIds: new Set(json.added_tokens.map(({ id }) => id)),
        specialIds: this.specialTokenIds,
      },
      createTokenDecoder(json.decoder),
    )
    this.#worker = new EncodeWorker(() => ({
      tokenizerJson: tokenizerText(tokenizerJson),
      absentParts: ABSENT_PARTS,
      config,
    }))
  }

  /**
   * Reads the tokenizer of a model folder: tokenizer.json, or GPT-2's vocab.json and merges.txt.
   *
   * @throws EngineError `model_not_found` without such files, `invalid_file` for one that cannot be
   * read, `unsupported_model` where vocab.json and merges.txt are of another kind of tokenizer.
   */
  static async load(folder: string): Promise<Tokenizer> {
    const source = await folderTokenizer(folder)
    if (source === null) {
      throw new EngineError(
        'model_not_found',
        `${join(folder, 'tokenizer.json')} does not exist; with skipTokenizerInit the model works with token ids alone`,
      )
    }
    return new Tokenizer(source.tokenizerJson, source.config)
  }

  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): Int32Array {
    const { ids } = this.#library.encode(text, { add_special_tokens: addSpecialTokens })
    // Without an unknown token, a character that the vocabulary lacks has no id.
    return Int32Array.from(ids.filter((id) => id !== undefined))
  }

  /** The same ids; a long text is encoded by a worker thread, so that the event loop stays free. */
  async encodeAsync(text: string, options: EncodeOptions = {}): Promise<Int32Array> {
    if (text.length <= WORKER_FROM) return this.encode(text, options)
    return this.#worker.encode(text, options.addSpecialTokens ?? true)
  }

  /** The text of tokens. Ids that stand for nothing are left out; lost bytes show as U+FFFD. */
  decode(tokenIds: Iterable<number>, options: DecodeOptions = {}): string {
    const detokenizer = new Detokenizer(this.pieces, options)
    let text = ''
    for (const tokenId of tokenIds) text += detokenizer.push(tokenId)
    return text + detokenizer.flush()
  }

  /** A token's own text within a sentence; bytes of an unfinished character show as U+FFFD. */
  tokenText(tokenId: number): string {
    const { text, bytes } = this.pieces.piece(tokenId)
    return text ?? lossyUtf8.decode(bytes)
  }

  /** Ends the worker thread. Long texts can be encoded no more. */
  close(): Promise<void> {
    return this.#worker.close()
  }

  #idOf(token: string | null): number | null {
    return token === null ? null : (this.#library.token_to_id(token) ?? null)
  }

  #findSpecialIds(json: TokenizerJson, config: TokenizerConfig): ReadonlySet<number> {
    const { bos_token, eos_token, pad_token, unk_token } = config
    const additional = config.additional_special_tokens ?? []
    const extra = Object.values(config.extra_special_tokens ?? {})
    const named = [bos_token, eos_token, pad_token, unk_token, ...additional, ...extra]
    const ids = named.map((token) => this.#idOf(contentOf(token))).filter((id) => id !== null)
    const marked = json.added_tokens.filter(({ special }) => special).map(({ id }) => id)
    const text: readonly (number | null)[] = THINK.map((mark) => this.#idOf(mark))
    return new Set([...ids, ...marked].filter((id) => !text.includes(id)))
  }
}

const lossyUtf8 = new TextDecoder('utf-8', { ignoreBOM: true })

function completeJson(given: string | TokenizerJson): TokenizerJson {
  const json = typeof given === 'string' ? parseObject(given, 'tokenizer.json') : given
  if (typeof json.model !== 'object' || json.model === null) {
    throw new EngineError('invalid_file', 'tokenizer.json: there is no model in it')
  }
  return { ...ABSENT_PARTS, ...json } as unknown as TokenizerJson
}
