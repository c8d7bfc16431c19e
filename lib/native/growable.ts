type Numbers = Int32Array | Float32Array

/** A typed array that grows by doubling and is reused from step to step. */
export class Growable<A extends Numbers> {
  array: A
  length = 0
  readonly #make: new (length: number) => A
  #view: A

  constructor(make: new (length: number) => A) {
    this.#make = make
    this.#view = this.array = new make(1024)
  }

  clear(): void {
    this.length = 0
  }

  /** Makes room for `length` elements; what was written stays. */
  reserve(length: number): void {
    if (length <= this.array.length) return
    const bigger = new this.#make(Math.max(length, 2 * this.array.length))
    bigger.set(this.array)
    this.array = bigger
  }

  push(value: number): void {
    this.reserve(this.length + 1)
    this.array[this.length++] = value
  }

  /** Appends the first `count` elements. A plain loop: block tables are short, and views cost more. */
  append(from: ArrayLike<number>, count: number): void {
    this.reserve(this.length + count)
    const { array } = this
    let at = this.length
    for (let i = 0; i < count; i++) array[at++] = from[i]!
    this.length = at
  }

  /** What was written, as a view that the next write may invalidate: mostly as long as the last one. */
  view(): A {
    if (this.#view.length !== this.length || this.#view.buffer !== this.array.buffer)
      this.#view = this.array.subarray(0, this.length) as A
    return this.#view
  }
}
