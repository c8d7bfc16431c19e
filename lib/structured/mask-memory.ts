/**
 * Masks in memory that threads share: row r is ready for the step whose ticket `ready[r]` holds.
 * Native code reads them (csrc/shared_masks.h), so this is part of the boundary.
 *   ready [rows], masks [rows × words]
 */
export class MaskMemory {
  readonly ints: Int32Array
  readonly rows: number
  readonly #words: number

  constructor(rows: number, words: number, ints?: Int32Array) {
    this.rows = rows
    this.#words = words
    const bytes = Int32Array.BYTES_PER_ELEMENT * rows * (1 + words)
    this.ints = ints ?? new Int32Array(new SharedArrayBuffer(bytes))
  }

  /** Writes a row, null: no token at all, and then says that it is ready. */
  publish(row: number, ticket: number, mask: Int32Array | null): void {
    const at = this.rows + row * this.#words
    if (mask === null) this.ints.fill(0, at, at + this.#words)
    else this.ints.set(mask, at)
    Atomics.store(this.ints, row, ticket)
  }

  isReady(row: number, ticket: number): boolean {
    return Atomics.load(this.ints, row) === ticket
  }
}
