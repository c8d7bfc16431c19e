/** The largest chunk: a sequence of 2048 tokens in blocks of 16. */
const LARGEST = 128

/**
 * Gives contiguous ranges of blocks whose sizes are powers of two: the memory management of systems
 * that want a sequence's keys and values in one piece. Chunks are named by their first block.
 */
export class BuddyAllocator {
  /** Free chunks of each size, the one that became free last at the end. */
  readonly #free = new Map<number, number[]>()

  constructor(blocks: number) {
    let address = 0
    for (let size = LARGEST; size >= 1; size /= 2) {
      const chunks: number[] = []
      for (; address + size <= blocks; address += size) chunks.push(address)
      this.#free.set(size, chunks)
    }
  }

  /** Blocks of the chunk that holds this many. */
  static chunkFor(blocks: number): number {
    return 2 ** Math.ceil(Math.log2(blocks))
  }

  /** `count` chunks of one size, or null, and nothing has changed, when they do not all fit. */
  allocate(size: number, count: number): number[] | null {
    let room = 0
    for (let larger = size; larger <= LARGEST; larger *= 2) {
      room += this.#chunks(larger).length * (larger / size)
    }
    if (room < count) return null
    return Array.from({ length: count }, () => this.#take(size))
  }

  release(address: number, size: number): void {
    while (size < LARGEST) {
      const chunks = this.#chunks(size)
      const buddy = chunks.indexOf(address ^ size)
      if (buddy < 0) break
      chunks.splice(buddy, 1)
      address &= ~size
      size *= 2
    }
    this.#chunks(size).push(address)
  }

  #take(size: number): number {
    const address = this.#chunks(size).pop()
    if (address !== undefined) return address
    const larger = this.#take(2 * size)
    this.#chunks(size).push(larger + size)
    return larger
  }

  #chunks(size: number): number[] {
    const chunks = this.#free.get(size)
    if (chunks === undefined) throw new RangeError(`a chunk of ${size} blocks can never be free`)
    return chunks
  }
}
