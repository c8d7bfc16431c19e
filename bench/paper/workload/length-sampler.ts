import { lengthHistograms, type Dataset, type Histogram } from '../data/lengths.js'
import type { Random } from './random.js'

/** Draws lengths from a histogram: a bin by its probability, then evenly within the bin. */
export class LengthSampler {
  readonly #edges: readonly number[]
  readonly #cumulative: Float64Array

  constructor({ edges, probabilities }: Histogram) {
    let sum = 0
    this.#edges = edges
    this.#cumulative = Float64Array.from(probabilities, (p) => (sum += p))
  }

  draw(random: Random): number {
    const bin = this.#binOf(random.next())
    const low = this.#edges[bin]!
    const high = this.#edges[bin + 1]!
    return Math.max(1, Math.floor(low + random.next() * (high - low)))
  }

  #binOf(u: number): number {
    let low = 0
    let high = this.#cumulative.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#cumulative[middle]! >= u) high = middle
      else low = middle + 1
    }
    return low
  }
}

function samplersOf(dataset: Dataset) {
  const { input, output } = lengthHistograms[dataset]
  return { input: new LengthSampler(input), output: new LengthSampler(output) }
}

export const lengthSamplers = { sharegpt: samplersOf('sharegpt'), alpaca: samplersOf('alpaca') }
