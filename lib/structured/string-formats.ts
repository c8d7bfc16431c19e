const DAY =
  '(?:(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29' +
  '|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)' +
  '|02-(?:0[1-9]|1\\d|2[0-8])))'
const TIME =
  '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)'
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const IPV4 = `(?:${BYTE}\\.){3}${BYTE}`
const HEX = '[0-9a-fA-F]{1,4}'
/** Eight groups, or fewer around one "::". */
const IPV6 = [
  `(?:${HEX}:){7}${HEX}`,
  ...[1, 2, 3, 4, 5, 6].map((n) => `(?:${HEX}:){1,${n}}(?::${HEX}){1,${7 - n}}`),
  `(?:${HEX}:){1,7}:`,
  `:(?::${HEX}){1,7}`,
  '::',
].join('|')
const LABEL = '[a-zA-Z0-9]{1,24}(?:-[a-zA-Z0-9]{1,8}){0,4}'
/** Its last label begins with a letter, or it would be taken for an address. */
const HOST = `(?:${LABEL}\\.){0,3}[a-zA-Z][a-zA-Z0-9]{1,30}`
const PATH_CHARACTER = "(?:[a-zA-Z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})"
const PATH = `(?:/${PATH_CHARACTER}*)*`
const BEHIND_PATH = `(?:\\?(?:${PATH_CHARACTER}|[/?])*)?(?:#(?:${PATH_CHARACTER}|[/?])*)?`
const URI = `[a-z][a-z0-9+.-]{1,10}://(?:${HOST}|${IPV4})(?::\\d{1,4})?${PATH}${BEHIND_PATH}`
const EMAIL = `[a-zA-Z0-9_+-]{1,20}(?:\\.[a-zA-Z0-9_+-]{1,20}){0,2}@(?:${LABEL}\\.){1,3}[a-zA-Z]{2,10}`
const POINTER = '(?:/(?:[^~/]|~[01])*)*'
const SECONDS = 'T(?:\\d+H(?:\\d+M(?:\\d+S)?)?|\\d+M(?:\\d+S)?|\\d+S)'
const DURATION = `P(?:\\d+W|(?:\\d+Y(?:\\d+M(?:\\d+D)?)?|\\d+M(?:\\d+D)?|\\d+D)(?:${SECONDS})?|${SECONDS})`
const SIX_BITS = '[a-zA-Z0-9+/]'

/** Regular expressions of formats: those of JSON Schema, and the encodings of OpenAPI and of Zod. */
const FORMATS: Readonly<Record<string, string>> = {
  date: DAY,
  time: TIME,
  'date-time': `${DAY}T${TIME}`,
  duration: DURATION,
  email: EMAIL,
  'idn-email': EMAIL,
  hostname: HOST,
  'idn-hostname': HOST,
  ipv4: IPV4,
  ipv6: IPV6,
  uri: URI,
  'uri-reference': `${URI}|${PATH}${BEHIND_PATH}`,
  'uri-template': URI,
  iri: URI,
  'iri-reference': `${URI}|${PATH}${BEHIND_PATH}`,
  uuid: '[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}',
  'json-pointer': POINTER,
  'relative-json-pointer': `(?:0|[1-9]\\d{0,8})(?:#|${POINTER})`,
  base64: `(?:${SIX_BITS}{4})*(?:${SIX_BITS}{2}==|${SIX_BITS}{3}=)?`,
  byte: `(?:${SIX_BITS}{4})*(?:${SIX_BITS}{2}==|${SIX_BITS}{3}=)?`,
  base64url: '(?:[a-zA-Z0-9_-]{4})*(?:[a-zA-Z0-9_-]{2,3})?',
}

/** Those of JSON Schema that cannot be granted. */
const REFUSED: ReadonlySet<string> = new Set(['regex'])

/**
 * The regular expression of a format; null for one that JSON Schema does not know, which says nothing
 * of the text. Throws RangeError for one that cannot be granted.
 */
export function formatPattern(format: string): string | null {
  if (REFUSED.has(format)) throw new RangeError(`"${format}" cannot be granted`)
  return Object.hasOwn(FORMATS, format) ? FORMATS[format]! : null
}

const bits = (count: number): Bits => ({ least: -(2 ** (count - 1)), most: 2 ** (count - 1) - 1 })

interface Bits {
  readonly least: number
  readonly most: number
}

/** Bounds of a format of numbers; null: it has none. */
export function formatBounds(format: string): Bits | null {
  const [, unsigned, size] = /^(u?)int(8|16|32)$/.exec(format) ?? []
  if (size === undefined) return null
  return unsigned === '' ? bits(Number(size)) : { least: 0, most: 2 ** Number(size) - 1 }
}
