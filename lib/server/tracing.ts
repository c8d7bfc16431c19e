import type * as OpenTelemetry from '@opentelemetry/api'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { RequestRecord } from '../engine/observer.js'
import { EngineError } from '../errors.js'
import { version } from '../version.js'

/**
 * Writes a span for each of an engine's requests: vLLM's `llm_request` with its `gen_ai` attributes. A
 * request's `traceHeaders` name its parent. Spans go to the tracer provider that is registered with
 * @opentelemetry/api, which throws EngineError `not_supported` where it is not installed. Gives the
 * function that ends the tracing.
 *
 * @example
 * const stop = await traceEngine(engine)
 * await engine.generate('Once', {}, { traceHeaders: { traceparent } })
 */
export async function traceEngine(engine: LLMEngine): Promise<() => void> {
  const api = await importApi()
  const tracer = api.trace.getTracer('octavo', version())
  return engine.observe({
    onEnd: (record) => {
      const { arrivalTime, finishedTime } = record.metrics
      const parent = api.propagation.extract(api.ROOT_CONTEXT, record.traceHeaders ?? {})
      const kind = api.SpanKind.SERVER
      const attributes = attributesOf(record, engine.model)
      const span = tracer.startSpan(
        'llm_request',
        { kind, startTime: arrivalTime, attributes },
        parent,
      )
      if (record.finishReasons.includes('error'))
        span.setStatus({ code: api.SpanStatusCode.ERROR, message: 'the request has failed' })
      span.end(finishedTime ?? Date.now())
    },
  })
}

async function importApi(): Promise<typeof OpenTelemetry> {
  try {
    return await import('@opentelemetry/api')
  } catch (cause) {
    const advice = 'npm install @opentelemetry/api and an SDK'
    throw new EngineError('not_supported', `requests cannot be traced; ${advice}`, { cause })
  }
}

/** Times are seconds. What a request has not, such as the first token of an embedding, is left out. */
function attributesOf(record: RequestRecord, model: string): OpenTelemetry.Attributes {
  const { params, metrics } = record
  const { arrivalTime, firstScheduledTime, firstTokenTime, finishedTime } = metrics
  const given = {
    'gen_ai.request.id': record.requestId,
    'gen_ai.request.temperature': params.temperature,
    'gen_ai.request.top_p': params.topP,
    'gen_ai.request.max_tokens': record.maxTokens,
    'gen_ai.request.n': record.n,
    'gen_ai.response.model': model,
    'gen_ai.response.finish_reasons': [...record.finishReasons],
    'gen_ai.usage.num_sequences': record.finishReasons.length,
    'gen_ai.usage.prompt_tokens': record.promptTokens,
    'gen_ai.usage.completion_tokens': record.generatedTokens,
    'gen_ai.usage.cached_tokens': metrics.cachedTokens,
    'gen_ai.latency.time_in_queue': between(arrivalTime, firstScheduledTime),
    'gen_ai.latency.time_to_first_token': between(arrivalTime, firstTokenTime),
    'gen_ai.latency.time_in_model_prefill': between(firstScheduledTime, firstTokenTime),
    'gen_ai.latency.time_in_model_decode': between(firstTokenTime, finishedTime),
    'gen_ai.latency.time_in_model_inference': between(firstScheduledTime, finishedTime),
    'gen_ai.latency.e2e': between(arrivalTime, finishedTime),
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function between(from: number | null, to: number | null): number | undefined {
  return from === null || to === null ? undefined : (to - from) / 1000
}
