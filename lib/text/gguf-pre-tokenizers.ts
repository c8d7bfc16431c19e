import { EngineError } from '../errors.js'

// How the models that `tokenizer.ggml.pre` names cut a text before byte pairs are merged. Each entry
// is a list of cuts, patterns mostly: the first cuts the text, the second what is left, and so on.

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const DIGIT = '\\p{N}'
const CJK = '[一-龥ࠀ-一가-퟿]+'
const PUNCTUATED = ' ?[^(\\s|.,!?…。，、।۔،)]+'

const words = (digits: string): string =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${SPACES}`

/** Words in which capitals begin a new one. */
const cased = (ending: string, digits: string): string => {
  const upper = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
  const lower = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
  const start = '[^\\r\\n\\p{L}\\p{N}]?'
  return (
    `${start}${upper}*${lower}+${ending}|${start}${upper}+${lower}*${ending}|${digits}` +
    `| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`
  )
}

const LLAMA3 = [words('\\p{N}{1,3}')]
const QWEN2 = [words(DIGIT)]
const DIGITS = [{ type: 'Digits', individual_digits: true }, GPT2]
const DEEPSEEK3 = [
  '\\p{N}{1,3}',
  '[一-龥぀-ゟ゠-ヿ]+',
  '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+' +
    `| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
]

const PATTERNS: Readonly<Record<string, readonly (string | object)[]>> = {
  default: ['[\\p{P}\\$\\+<=>\\^~\\|]+', GPT2, '\\p{N}+', '[0-9][0-9][0-9]'],
  'gpt-2': [GPT2],
  'phi-2': [GPT2],
  mpt: [GPT2],
  olmo: [GPT2],
  jais: [GPT2],
  'llama-bpe': LLAMA3,
  llama3: LLAMA3,
  'llama-v3': LLAMA3,
  falcon3: LLAMA3,
  lfm2: LLAMA3,
  dbrx: LLAMA3,
  'smaug-bpe': LLAMA3,
  glm4: LLAMA3,
  'chatglm-bpe': LLAMA3,
  qwen2: QWEN2,
  'deepseek-r1-qwen': QWEN2,
  stablelm2: QWEN2,
  megrez: QWEN2,
  smollm: DIGITS,
  starcoder: DIGITS,
  refact: DIGITS,
  'command-r': DIGITS,
  codeshell: DIGITS,
  exaone: DIGITS,
  falcon: ['[\\p{P}\\$\\+<=>\\^~\\|`]+', GPT2, '[0-9][0-9][0-9]'],
  'deepseek-coder': ['[\\r\\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', CJK, DIGIT],
  'deepseek-v3': DEEPSEEK3,
  'hunyuan-dense': DEEPSEEK3,
  tekken: [cased('', DIGIT)],
  'gpt-4o': [cased(`${CONTRACTIONS}?`, '\\p{N}{1,3}')],
  bloom: [PUNCTUATED],
  'gpt3-finnish': [PUNCTUATED],
  viking: [PUNCTUATED, DIGIT],
}

/** Models whose texts begin with the begin token though the file does not say so. */
const BEGINS: ReadonlySet<string> = new Set([
  'llama-bpe',
  'llama3',
  'llama-v3',
  'falcon3',
  'tekken',
])
const WHOLE_WORDS: ReadonlySet<string> = new Set([...BEGINS, 'lfm2'])

/** The pre-tokenizer and normalizer of a byte-level tokenizer. `file` is named in errors. */
export function bytePairPreTokenizer(name: string, file: string) {
  const patterns = Object.hasOwn(PATTERNS, name) ? PATTERNS[name]! : null
  if (!patterns)
    throw new EngineError(
      'unsupported_model',
      `${file}: pre-tokenizer tokenizer.ggml.pre ${JSON.stringify(name)} is not supported`,
    )
  const cuts = patterns.map((cut) =>
    typeof cut === 'string'
      ? { type: 'Split', pattern: { Regex: cut }, behavior: 'Isolated', invert: false }
      : cut,
  )
  const bytes = {
    type: 'ByteLevel',
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  }
  return {
    normalizer: name === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...cuts, bytes] },
  }
}

/** A text begins with the begin token unless the file says otherwise. */
export function hasBeginToken(name: string): boolean {
  return BEGINS.has(name)
}

/** A word that is a token is not merged from its bytes. */
export function ignoresMerges(name: string): boolean {
  return WHOLE_WORDS.has(name)
}
