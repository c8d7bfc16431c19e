/**
 * Names a full block by its content and by everything before it: the first 128 bits of BLAKE2s
 * (RFC 7693) over the block's token ids, with the parent block's hash as salt and personalization.
 *
 * A wrong hit would mix two users' texts, so the hash is a cryptographic one, and a hit is trusted
 * without comparing tokens: comparing one block says nothing of the blocks before it. It is written
 * here because a block of 16 tokens is one compression, about a microsecond without garbage;
 * `createHash` of node:crypto takes almost twice that. It is the same in every process.
 */
export const HASH_WORDS = 4

const INITIAL = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
)

/** Fan-out 1, depth 1, no key, a digest of 32 bytes. */
const PARAMETERS = 0x01010020

/** The order of message words, 16 for each of the 10 rounds. */
const ORDER = Uint8Array.from(
  [
    '0123456789abcdef',
    'ea489fd61c02b753',
    'b8c052fdae367194',
    '7931dcbe265a40f8',
    '905724afe1bc683d',
    '2c6a0b834d75fe19',
    'c51fed4a0763928b',
    'db7ec13950f4862a',
    '6fe9b308c2d714a5',
    'a2847615fb9e3cd0',
  ].flatMap((round) => Array.from(round, (digit) => parseInt(digit, 16))),
)

const WORDS_PER_MESSAGE = 16
const BYTES_PER_WORD = 4

const state = new Int32Array(8)
const work = new Int32Array(16)
const message = new Int32Array(WORDS_PER_MESSAGE)

/** `out[outAt …]` = hash of `words[from … to − 1]` after the parent `parents[parentAt …]`. */
export function hashBlock(
  words: Int32Array,
  from: number,
  to: number,
  parents: Int32Array,
  parentAt: number,
  out: Int32Array,
  outAt: number,
): void {
  state.set(INITIAL)
  state[0]! ^= PARAMETERS
  for (let i = 0; i < HASH_WORDS; i++) state[4 + i]! ^= parents[parentAt + i]!
  let at = from
  do {
    const end = Math.min(at + WORDS_PER_MESSAGE, to)
    message.fill(0)
    for (let i = at; i < end; i++) message[i - at] = words[i]!
    compress((end - from) * BYTES_PER_WORD, end === to)
    at = end
  } while (at < to)
  for (let i = 0; i < HASH_WORDS; i++) out[outAt + i] = state[i]!
}

/** The parent of a first block: zeros for the empty key, else the hash of the key's characters. */
export function rootHash(key: string): Int32Array {
  const root = new Int32Array(HASH_WORDS)
  if (key === '') return root
  const characters = Int32Array.from({ length: key.length }, (_, i) => key.charCodeAt(i))
  hashBlock(characters, 0, characters.length, root, 0, root, 0)
  return root
}

function compress(bytesSoFar: number, last: boolean): void {
  work.set(state)
  work.set(INITIAL, 8)
  work[12]! ^= bytesSoFar
  if (last) work[14] = ~work[14]!
  for (let r = 0; r < ORDER.length; r += 16) {
    mix(0, 4, 8, 12, message[ORDER[r]!]!, message[ORDER[r + 1]!]!)
    mix(1, 5, 9, 13, message[ORDER[r + 2]!]!, message[ORDER[r + 3]!]!)
    mix(2, 6, 10, 14, message[ORDER[r + 4]!]!, message[ORDER[r + 5]!]!)
    mix(3, 7, 11, 15, message[ORDER[r + 6]!]!, message[ORDER[r + 7]!]!)
    mix(0, 5, 10, 15, message[ORDER[r + 8]!]!, message[ORDER[r + 9]!]!)
    mix(1, 6, 11, 12, message[ORDER[r + 10]!]!, message[ORDER[r + 11]!]!)
    mix(2, 7, 8, 13, message[ORDER[r + 12]!]!, message[ORDER[r + 13]!]!)
    mix(3, 4, 9, 14, message[ORDER[r + 14]!]!, message[ORDER[r + 15]!]!)
  }
  for (let i = 0; i < 8; i++) state[i]! ^= work[i]! ^ work[i + 8]!
}

function mix(a: number, b: number, c: number, d: number, x: number, y: number): void {
  let wa = work[a]!
  let wb = work[b]!
  let wc = work[c]!
  let wd = work[d]!
  wa = (wa + wb + x) | 0
  wd ^= wa
  wd = (wd >>> 16) | (wd << 16)
  wc = (wc + wd) | 0
  wb ^= wc
  wb = (wb >>> 12) | (wb << 20)
  wa = (wa + wb + y) | 0
  wd ^= wa
  wd = (wd >>> 8) | (wd << 24)
  wc = (wc + wd) | 0
  wb ^= wc
  wb = (wb >>> 7) | (wb << 25)
  work[a] = wa
  work[b] = wb
  work[c] = wc
  work[d] = wd
}
