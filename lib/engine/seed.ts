/** A 64-bit seed as two int32 halves. */
export type Seed = readonly [low: number, high: number]

/** Gives each request its seed: its own, or the next of the engine's. */
export class SeedSource {
  #state: bigint

  constructor(seed: number) {
    this.#state = BigInt.asUintN(64, BigInt(seed))
  }

  next(requestSeed: number | null): Seed {
    const seed = requestSeed === null ? this.#draw() : BigInt(requestSeed)
    return [Number(BigInt.asIntN(32, seed)), Number(BigInt.asIntN(32, seed >> 32n))]
  }

  /** SplitMix64: every engine with the same seed draws the same sequence of seeds. */
  #draw(): bigint {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n)
    let z = this.#state
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n)
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn)
    return z ^ (z >> 31n)
  }
}
