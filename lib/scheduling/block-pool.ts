import { HashIndex } from './hash-index.js'

/** Never allocated, written or freed: it stands for "no block". */
export const NULL_BLOCK = 0

/**
 * The physical blocks of one tier. A block is *used* (it has owners), *cached* (no owner, but its
 * content can still be found by its hash) or *free*.
 *
 * Blocks without owners form one doubly linked list through the null block: free ones in front, the
 * last freed first; then cached ones, the least recently used first. Taking from the front therefore
 * evicts a cached block only when no free one is left. Every operation is O(1).
 */
export class BlockPool {
  readonly #owners: Int32Array
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #index: HashIndex
  #available: number
  #cached = 0

  /** @param numBlocks physical blocks, the null block included */
  constructor(readonly numBlocks: number) {
    this.#owners = new Int32Array(numBlocks)
    this.#next = Int32Array.from({ length: numBlocks }, (_, i) => (i + 1) % numBlocks)
    this.#previous = Int32Array.from({ length: numBlocks }, (_, i) => (i || numBlocks) - 1)
    this.#index = new HashIndex(numBlocks)
    this.#available = numBlocks - 1
  }

  /** Blocks that sequences can own: all but the null block. */
  get capacity(): number {
    return this.numBlocks - 1
  }

  /** Blocks without owners, cached ones included. */
  get available(): number {
    return this.#available
  }

  get cached(): number {
    return this.#cached
  }

  get used(): number {
    return this.capacity - this.#available
  }

  owners(block: number): number {
    return this.#owners[block]!
  }

  isCached(block: number): boolean {
    return this.#index.has(block)
  }

  /** A block for one owner to write, or the null block when none is available. */
  take(): number {
    const block = this.#next[NULL_BLOCK]!
    if (block === NULL_BLOCK) return NULL_BLOCK
    this.#unlink(block)
    if (this.isCached(block)) {
      this.#index.remove(block)
      this.#cached--
    }
    this.#owners[block] = 1
    return block
  }

  /** Adds an owner, to a used block or to a cached one. */
  share(block: number): void {
    if (this.#owners[block] === 0) {
      this.#unlink(block)
      this.#cached--
    }
    this.#owners[block]!++
  }

  /** Takes an owner away. The last one leaves a cached or a free block. */
  release(block: number): void {
    if (--this.#owners[block]! > 0) return
    if (this.isCached(block)) {
      this.#link(this.#previous[NULL_BLOCK]!, block)
      this.#cached++
    } else {
      this.#link(NULL_BLOCK, block)
    }
  }

  /** The block with the hash at `hashes[at …]`, or the null block. */
  find(hashes: Int32Array, at: number): number {
    return this.#index.find(hashes, at)
  }

  /** Makes a used block's content findable, unless another block has the same content. */
  cache(block: number, hashes: Int32Array, at: number): void {
    if (this.isCached(block) || this.find(hashes, at) !== NULL_BLOCK) return
    this.#index.insert(block, hashes, at)
  }

  /** Makes a used block's content unfindable, because it is about to be overwritten. */
  uncache(block: number): void {
    if (this.isCached(block)) this.#index.remove(block)
  }

  /** Forgets every cached content: cached blocks become free. */
  uncacheAll(): void {
    for (let block = 1; block < this.numBlocks; block++) this.uncache(block)
    this.#cached = 0
  }

  /** Throws unless used + cached + free = all and the list is what the class comment says. */
  checkIntegrity(): void {
    let length = 0
    let cached = 0
    for (let block = this.#next[0]!; block !== NULL_BLOCK; block = this.#next[block]!) {
      if (++length > this.capacity) throw new Error('the list of available blocks has a cycle')
      if (this.#previous[this.#next[block]!] !== block)
        throw new Error(`block ${block}: the links of the list contradict each other`)
      if (this.owners(block) !== 0)
        throw new Error(`block ${block} is available but has ${this.owners(block)} owners`)
      if (this.isCached(block)) cached++
      else if (cached > 0) throw new Error(`free block ${block} stands behind a cached one`)
    }
    const used = this.#owners.reduce((count, owners) => count + (owners > 0 ? 1 : 0), 0)
    if (length !== this.#available || cached !== this.#cached || used + length !== this.capacity)
      throw new Error(
        `${used} used + ${length - cached} free + ${cached} cached blocks are counted as ` +
          `${this.used} + ${this.#available - this.#cached} + ${this.#cached} of ${this.capacity}`,
      )
  }

  #unlink(block: number): void {
    const previous = this.#previous[block]!
    const next = this.#next[block]!
    this.#next[previous] = next
    this.#previous[next] = previous
    this.#available--
  }

  #link(previous: number, block: number): void {
    const next = this.#next[previous]!
    this.#next[previous] = block
    this.#previous[block] = previous
    this.#next[block] = next
    this.#previous[next] = block
    this.#available++
  }
}
