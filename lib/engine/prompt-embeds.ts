import { checkInteger, wrongType } from '../check.js'
import type { EmbeddedRows } from '../scheduling/sequence.js'

/** Rows, or all their numbers row after row with `[rows, columns]`. */
export type EmbedsInput =
  | readonly (Float32Array | readonly number[])[]
  | { readonly data: Float32Array; readonly shape: readonly [rows: number, columns: number] }

const NAME = 'prompt.promptEmbeds'

/** Copies what a caller gave as vectors. Throws TypeError or RangeError that names the field and the row. */
export function parseEmbeds(given: unknown): EmbeddedRows {
  if (Array.isArray(given)) return fromRows(given)
  if (typeof given !== 'object' || given === null) throw wrongType(NAME, EXPECTED, given)
  const { data, shape } = given as { data?: unknown; shape?: unknown }
  if (!(data instanceof Float32Array)) throw wrongType(`${NAME}.data`, 'a Float32Array', data)
  if (!Array.isArray(shape) || shape.length !== 2)
    throw wrongType(`${NAME}.shape`, '[rows, columns]', shape)
  const range = { min: 1, max: Number.MAX_SAFE_INTEGER }
  const rows = checkInteger(`${NAME}.shape[0]`, shape[0], range)
  const columns = checkInteger(`${NAME}.shape[1]`, shape[1], range)
  if (data.length !== rows * columns)
    throw new RangeError(
      `${NAME}.data: expected ${rows} × ${columns} numbers as its shape says, found ${data.length}`,
    )
  return checkFinite({ rows, columns, data: data.slice() })
}

const EXPECTED = 'rows of numbers or { data, shape }'

function fromRows(given: readonly unknown[]): EmbeddedRows {
  if (given.length === 0) throw new RangeError(`${NAME}: expected at least one row, found none`)
  const rows = given.map((row, i) => {
    if (row instanceof Float32Array || Array.isArray(row)) return row as ArrayLike<number>
    throw wrongType(`${NAME}[${i}]`, 'a Float32Array or an array of numbers', row)
  })
  const columns = rows[0]!.length
  const data = new Float32Array(rows.length * columns)
  rows.forEach((row, i) => {
    if (row.length !== columns)
      throw new RangeError(
        `${NAME}[${i}]: expected ${columns} numbers as in the first row, found ${row.length}`,
      )
    data.set(row, i * columns)
  })
  return checkFinite({ rows: rows.length, columns, data })
}

function checkFinite(embeds: EmbeddedRows): EmbeddedRows {
  const { columns, data } = embeds
  const at = data.findIndex((x) => !Number.isFinite(x))
  if (at < 0) return embeds
  const place = `${NAME}[${Math.floor(at / columns)}][${at % columns}]`
  throw new RangeError(`${place}: expected a finite number, found ${data[at]}`)
}
