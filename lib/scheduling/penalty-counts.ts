import type { SamplingParams } from '../sampling-params.js'

/** Whether drawing with these parameters needs to know which tokens were used before. */
export function needsPenaltyCounts(params: SamplingParams): boolean {
  return (
    params.presencePenalty !== 0 || params.frequencyPenalty !== 0 || params.repetitionPenalty !== 1
  )
}

/**
 * How often a sequence holds each token, kept as the triples that a step carries:
 * (token id, times in the output, 1 if in the prompt).
 */
export class PenaltyCounts {
  readonly #indexOf = new Map<number, number>()
  #triples = new Int32Array(3 * 32)

  /** Distinct tokens. */
  get size(): number {
    return this.#indexOf.size
  }

  /** `size` triples, ready to be copied into a step. Valid until the next change. */
  get triples(): Int32Array {
    return this.#triples.subarray(0, 3 * this.size)
  }

  addPrompt(token: number): void {
    this.#triples[this.#slot(token) + 2] = 1
  }

  addOutput(token: number): void {
    this.#triples[this.#slot(token) + 1]!++
  }

  /** Takes back the last `addOutput` of a token. */
  removeOutput(token: number): void {
    this.#triples[this.#slot(token) + 1]!--
  }

  #slot(token: number): number {
    let index = this.#indexOf.get(token)
    if (index === undefined) {
      index = this.#indexOf.size
      this.#indexOf.set(token, index)
      this.#reserve(3 * (index + 1))
      this.#triples[3 * index] = token
    }
    return 3 * index
  }

  #reserve(length: number): void {
    if (length <= this.#triples.length) return
    const grown = new Int32Array(2 * this.#triples.length)
    grown.set(this.#triples)
    this.#triples = grown
  }
}
