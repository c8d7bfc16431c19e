/** How one group of cache layers uses blocks. Windows are in tokens. */
export type CacheGroupKind =
  | { readonly kind: 'full' }
  /** A token attends to itself and the `window − 1` tokens before it. */
  | { readonly kind: 'window'; readonly window: number }
  /** One block a sequence, which each step reads and overwrites. */
  | { readonly kind: 'state' }

const PLAIN: readonly CacheGroupKind[] = [{ kind: 'full' }]

/** Which blocks a sequence needs in each cache group. All groups draw from one pool. */
export class CacheLayout {
  /** Cache groups, and so tables of a sequence. */
  readonly groups: number
  /** Numbers of the groups that have a block for each `blockSize` tokens, windows included. */
  readonly tokenGroups: readonly number[]
  /** Those of them that keep a window only. */
  readonly windows: readonly { readonly group: number; readonly window: number }[]
  /** Numbers of the groups with one block a sequence. */
  readonly states: readonly number[]
  /** Groups whose blocks a sequence keeps from its first token on. */
  readonly fullGroups: number
  readonly #wholePrompts: boolean

  /** @param wholePrompts prompts are computed in one step: their windows need the blocks of all tokens at once */
  constructor(
    readonly blockSize: number,
    kinds: readonly CacheGroupKind[] = PLAIN,
    wholePrompts = false,
  ) {
    this.#wholePrompts = wholePrompts
    const numbers = kinds.map((_, group) => group)
    this.groups = kinds.length
    this.tokenGroups = numbers.filter((group) => kinds[group]!.kind !== 'state')
    this.states = numbers.filter((group) => kinds[group]!.kind === 'state')
    this.windows = kinds.flatMap((kind, group) =>
      kind.kind === 'window' ? [{ group, window: kind.window }] : [],
    )
    this.fullGroups = this.tokenGroups.length - this.windows.length
  }

  /** Blocks that hold this many tokens in one group that keeps all of them. */
  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockSize)
  }

  /** The first block that the token at `position` reads of a window. */
  firstBlock(window: number, position: number): number {
    return Math.max(0, Math.floor((position - window + 1) / this.blockSize))
  }

  /**
   * Blocks that a sequence of this many tokens must own at once, in all groups, to go on token by
   * token; those behind windows are given back.
   */
  blocksHeld(tokens: number): number {
    const blocks = this.blocksFor(tokens)
    let held = this.fullGroups * blocks + (tokens > 0 ? this.states.length : 0)
    for (const { window } of this.windows) held += Math.min(blocks, this.#mostOf(window))
    return held
  }

  /** Blocks that many sequences of `tokens` tokens own together when they share full ones up to `shared`. */
  blocksHeldBy(sequences: number, tokens: number, shared: number): number {
    const sharedBlocks = Math.floor(shared / this.blockSize)
    return sequences * this.blocksHeld(tokens) - (sequences - 1) * this.fullGroups * sharedBlocks
  }

  /** The longest sequence, in tokens, that so many blocks hold. */
  capacityOf(blocks: number): number {
    if (this.fullGroups === 0 && this.blocksHeld(Number.MAX_SAFE_INTEGER) <= blocks)
      return Number.MAX_SAFE_INTEGER
    let fits = 0
    for (let more = 2 ** Math.ceil(Math.log2(blocks + 1)); more >= 1; more /= 2) {
      if (this.blocksHeld((fits + more) * this.blockSize) <= blocks) fits += more
    }
    return fits * this.blockSize
  }

  /** Blocks over which so many neighbouring tokens may spread. */
  #mostOf(window: number): number {
    if (this.#wholePrompts) return Infinity
    return window === 1 ? 1 : Math.floor((window - 2) / this.blockSize) + 2
  }
}
