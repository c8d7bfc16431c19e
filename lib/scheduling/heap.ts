/** A binary heap: its first item is on top. Told of every move, its items can know their places. */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number
  readonly #moved: (item: T, place: number) => void

  /**
   * @param compare negative when `a` goes before `b`, by what must not change while both are here
   * @param moved called with each place that an item comes to
   */
  constructor(compare: (a: T, b: T) => number, moved: (item: T, place: number) => void) {
    this.#compare = compare
    this.#moved = moved
  }

  get size(): number {
    return this.#items.length
  }

  /** The item at a place: the first at 0, and at 2p + 1 and 2p + 2 two that it goes before. */
  at(place: number): T | undefined {
    return this.#items[place]
  }

  add(item: T): void {
    this.#place(item, this.size)
    this.#rise(this.size - 1)
  }

  /** There must be an item at that place. */
  removeAt(place: number): void {
    const last = this.#items.pop()!
    if (place === this.size) return
    this.#place(last, place)
    this.#rise(place)
    this.#sink(place)
  }

  #rise(place: number): void {
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!this.#goesBefore(place, parent)) return
      this.#swap(place, parent)
      place = parent
    }
  }

  #sink(place: number): void {
    for (;;) {
      const left = 2 * place + 1
      if (left >= this.size) return
      const right = left + 1
      const child = right < this.size && this.#goesBefore(right, left) ? right : left
      if (!this.#goesBefore(child, place)) return
      this.#swap(place, child)
      place = child
    }
  }

  #goesBefore(a: number, b: number): boolean {
    return this.#compare(this.#items[a]!, this.#items[b]!) < 0
  }

  #swap(a: number, b: number): void {
    const item = this.#items[a]!
    this.#place(this.#items[b]!, a)
    this.#place(item, b)
  }

  #place(item: T, place: number): void {
    this.#items[place] = item
    this.#moved(item, place)
  }
}
