import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafetensors } from '../../lib/weights/safetensors.js'
import { writeSafetensors, type TensorToWrite } from './files.js'

const BITS = 4
const PER_WORD = 8
const GROUP = 32

/** Codes of a matrix [lines, length] that are packed eight to a word, along lines. */
function unpack(words: Uint32Array): Uint8Array {
  return Uint8Array.from(
    { length: words.length * PER_WORD },
    (_, i) => (words[Math.floor(i / PER_WORD)]! >>> ((i % PER_WORD) * BITS)) & 15,
  )
}

function pack(codes: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(codes.length / PER_WORD)
  Array.from(codes).forEach((code, i) => {
    words[Math.floor(i / PER_WORD)]! |= code << ((i % PER_WORD) * BITS)
  })
  return words
}

/** Rows of `length` elements with their elements in another order. */
function reorder<T extends Uint8Array | Uint16Array>(rows: T, order: readonly number[]): T {
  const length = order.length
  return rows.map((_, i) => rows[i - (i % length) + order[i % length]!]!) as T
}

/**
 * Writes a GPTQ model anew with the channels between its feed-forward matrices in another order: the
 * model is the same, and the columns of each down projection are of groups in no order.
 */
export async function withChannelsShuffled(folder: string, out: string, channels: number) {
  cpSync(join(folder, 'config.json'), join(out, 'config.json'))
  const file = join(folder, 'model.safetensors')
  const bytes = readFileSync(file)
  const order = Array.from({ length: channels }, (_, i) => (i * 191) % channels)
  const written: Record<string, TensorToWrite> = {}
  for (const { name, dtype, shape, offset, length } of (await readSafetensors(file)).tensors) {
    const data = Uint8Array.from(bytes.subarray(offset, offset + length))
    written[name] = { dtype, shape, bytes: shuffled(name, data, order) }
  }
  writeSafetensors(join(out, 'model.safetensors'), written)
}

function shuffled(name: string, data: Uint8Array, order: readonly number[]): Uint8Array {
  const words = new Uint32Array(data.buffer, 0, data.length >> 2)
  const bytesOf = (array: Uint32Array | Uint16Array) => new Uint8Array(array.buffer)
  if (/(gate|up)_proj\.scales$/.test(name))
    return bytesOf(reorder(new Uint16Array(data.buffer), order))
  if (/(gate|up)_proj\.qzeros$/.test(name)) return bytesOf(pack(reorder(unpack(words), order)))
  // Words of eight columns for each row: rows are what the other matrices' columns are.
  if (/(gate|up)_proj\.qweight$/.test(name)) {
    return bytesOf(words.map((_, i) => words[i - (i % order.length) + order[i % order.length]!]!))
  }
  if (name.endsWith('down_proj.qweight')) {
    const rows = (words.length * PER_WORD) / order.length
    // [columns / 8][rows] words as [rows][columns] codes
    const perRow = new Uint32Array(words.length)
    const wordsPerRow = order.length / PER_WORD
    words.forEach((word, i) => (perRow[(i % rows) * wordsPerRow + Math.floor(i / rows)] = word))
    const packed = pack(reorder(unpack(perRow), order))
    return bytesOf(words.map((_, i) => packed[(i % rows) * wordsPerRow + Math.floor(i / rows)]!))
  }
  if (name.endsWith('down_proj.g_idx'))
    return bytesOf(Uint32Array.from(order, (channel) => Math.floor(channel / GROUP)))
  return data
}
