import { EngineError } from '../errors.js'

/** The `decoder` of a tokenizer.json, as far as it is read here. */
export interface DecoderConfig {
  readonly type: string
  readonly decoders?: readonly DecoderConfig[]
  readonly pattern?: { readonly String?: string; readonly Regex?: string }
  readonly content?: string
  readonly start?: number
  readonly stop?: number
  readonly replacement?: string
  readonly prepend_scheme?: string
  readonly add_prefix_space?: boolean
  readonly prefix?: string
  readonly cleanup?: boolean
}

/** Changes a token's text; `first` tells that it begins the whole text. */
type Rewrite = (token: string, first: boolean) => string

/** How a vocabulary's tokens become text: each stands for bytes of UTF-8 that are joined. */
export interface TokenDecoder {
  /** The bytes of a token of the model's own vocabulary. */
  bytesOf(token: string, first: boolean): Uint8Array
  /** The bytes of an added token, which the byte-level alphabet does not encode. */
  bytesOfAdded(token: string, first: boolean): Uint8Array
  /** Spaces to drop from the start of the whole text. */
  readonly leadingSpaces: number
}

/**
 * Reads a tokenizer's decoder. Hugging Face's decoders work on whole lists of tokens; those of
 * generative models never look past one token, apart from the start of the text, so that a
 * token's bytes can be looked up.
 *
 * @throws EngineError `unsupported_model` for a decoder that does.
 */
export function createTokenDecoder(config: DecoderConfig | null): TokenDecoder {
  const rewrites: Rewrite[] = []
  let byteLevel = false
  let byteFallback = false
  let fused = false
  let leadingSpaces = 0
  for (const step of config === null ? [] : flatten(config)) {
    if (step.type === 'ByteLevel') byteLevel = true
    else if (step.type === 'ByteFallback') byteFallback = true
    else if (step.type === 'Fuse') fused = true
    else if (step.type === 'Replace') rewrites.push(replace(step))
    else if (step.type === 'Metaspace') rewrites.push(metaspace(step))
    else if (step.type === 'WordPiece') rewrites.push(wordPiece(step))
    else if (isLeadingStrip(step) && fused) leadingSpaces = step.start ?? 0
    else throw unsupported(step)
  }
  if (config === null) rewrites.push((token, first) => (first ? token : ` ${token}`))
  const rewritten = (token: string, first: boolean): string =>
    rewrites.reduce((text, rewrite) => rewrite(text, first), token)
  const bytesOfAdded = (token: string, first: boolean) => utf8.encode(rewritten(token, first))
  return {
    leadingSpaces,
    bytesOfAdded,
    bytesOf(token, first) {
      if (byteLevel) return byteLevelBytes(rewritten(token, first))
      const byte = byteFallback ? fallbackByte(token) : null
      return byte === null ? bytesOfAdded(token, first) : Uint8Array.of(byte)
    },
  }
}

const utf8 = new TextEncoder()

function flatten(config: DecoderConfig): readonly DecoderConfig[] {
  return config.type === 'Sequence' ? (config.decoders ?? []).flatMap(flatten) : [config]
}

function unsupported({ type }: DecoderConfig): EngineError {
  return new EngineError(
    'unsupported_model',
    `tokenizer.json: decoder ${type} is not supported in this place`,
  )
}

function replace(step: DecoderConfig): Rewrite {
  const { pattern, content = '' } = step
  const { String: text, Regex: source } = pattern ?? {}
  const from = text ?? (source === undefined ? undefined : new RegExp(source, 'gu'))
  if (from === undefined) throw unsupported(step)
  return (token) => token.replaceAll(from, () => content)
}

/** The first token loses its marks, unless they were never added. */
function metaspace(step: DecoderConfig): Rewrite {
  const mark = step.replacement ?? '▁'
  const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always')
  return (token, first) => token.replaceAll(mark, first && scheme !== 'never' ? '' : ' ')
}

function wordPiece({ prefix = '##', cleanup = true }: DecoderConfig): Rewrite {
  return (token, first) => {
    if (first) return token
    if (token.startsWith(prefix)) return token.slice(prefix.length)
    return cleanup && /^([.?!,]|n't|'m|'s|'ve|'re)/.test(token) ? token : ` ${token}`
  }
}

function isLeadingStrip({ type, content, stop = 0 }: DecoderConfig): boolean {
  return type === 'Strip' && content === ' ' && stop === 0
}

function fallbackByte(token: string): number | null {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1]
  return hex === undefined ? null : Number.parseInt(hex, 16)
}

/** A token with a letter outside the alphabet was written as plain text. */
function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length)
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_LETTER.get(token.charCodeAt(i))
    if (byte === undefined) return utf8.encode(token)
    bytes[i] = byte
  }
  return bytes
}

/**
 * GPT-2's alphabet: printable Latin-1 letters stand for their own byte, and the 68 other bytes, in
 * rising order, for U+0100 and on.
 */
const BYTE_OF_LETTER: ReadonlyMap<number, number> = new Map(
  (function* () {
    let next = 0x100
    for (let byte = 0; byte < 256; byte++) {
      const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
      yield [printable ? byte : next++, byte] as const
    }
  })(),
)
