import type { Metric } from 'prom-client'
import type { Series } from './series.js'

/**
 * A histogram of one series. An observation is two additions, as one comes with every token: those of
 * prom-client check and look up their labels each time.
 */
export class Histogram {
  readonly name: string
  readonly help: string
  readonly type = 'histogram'
  readonly #labels: Series['labels']
  /** Upper bounds, ascending. */
  readonly #bounds: readonly number[]
  /** Observations between each bound and the one below it; the last: above them all. */
  readonly #counts: number[]
  #sum = 0

  constructor(name: string, help: string, bounds: readonly number[], series: Series) {
    this.name = name
    this.help = help
    this.#labels = series.labels
    this.#bounds = bounds
    this.#counts = new Array<number>(bounds.length + 1).fill(0)
    // A registry asks a metric for no more than there is here.
    for (const registry of series.registers) registry.registerMetric(this as unknown as Metric)
  }

  observe(value: number): void {
    let index = 0
    while (value > this.#bounds[index]!) index++
    this.#counts[index]!++
    this.#sum += value
  }

  /** What a registry writes. */
  get() {
    const { name, help, type } = this
    let count = 0
    const buckets = this.#counts.map((added, index) => {
      const labels = { le: this.#bounds[index] ?? '+Inf', ...this.#labels }
      return { metricName: `${name}_bucket`, labels, value: (count += added) }
    })
    const labels = this.#labels
    const values = [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: count },
    ]
    return Promise.resolve({ name, help, type, values, aggregator: 'sum' as const })
  }

  reset(): void {
    this.#counts.fill(0)
    this.#sum = 0
  }
}
