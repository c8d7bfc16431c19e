import { collectDefaultMetrics, Registry } from 'prom-client'
import type { LLMEngine } from '../../engine/llm-engine.js'
import { showEngine } from './engine-metrics.js'
import { RequestMetrics } from './request-metrics.js'

/** An engine's metrics in Prometheus' form, by vLLM's names. */
export class Metrics {
  readonly #registry = new Registry()

  /** Of an engine that is still being loaded, only the process is shown. */
  constructor() {
    collectDefaultMetrics({ register: this.#registry })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  watch(engine: LLMEngine, modelName: string): void {
    const series = { registers: [this.#registry], labels: { model_name: modelName, engine: '0' } }
    showEngine(engine, series)
    engine.observe(new RequestMetrics(series, engine.maxModelLen))
  }

  /** The text that a scrape gets. */
  read(): Promise<string> {
    return this.#registry.metrics()
  }
}
