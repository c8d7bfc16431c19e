import { collectDefaultMetrics, Registry } from 'prom-client'
import type { LLMEngine } from '../../engine/llm-engine.js'
import { showEngine } from './engine-metrics.js'
import { RequestMetrics } from './request-metrics.js'

/** The time between tokens, and what older dashboards call it; a second histogram would count it twice. */
const NEXT_TOKEN_TIME = 'vllm:inter_token_latency_seconds'
const OLDER_NAME = 'vllm:time_per_output_token_seconds'

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
  async read(): Promise<string> {
    const text = await this.#registry.metrics()
    if (!this.#registry.getSingleMetric(NEXT_TOKEN_TIME)) return text
    const times = await this.#registry.getSingleMetricAsString(NEXT_TOKEN_TIME)
    return `${text}\n${times.replaceAll(NEXT_TOKEN_TIME, OLDER_NAME)}\n`
  }
}
