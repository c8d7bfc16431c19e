import type { CallOptions, TraceHeaders } from '../engine/call-options.js'
import type { BatchAnsweringEngine } from '../openai/batch-request.js'
import type { Exchange } from './router.js'

/** What answers a request. */
export interface Answering {
  /** Watched, for the log. */
  readonly engine: BatchAnsweringEngine
  /** As the answer calls it. */
  readonly model: string
  readonly call: CallOptions
}

/**
 * What answers a request that asks for a model by its name; `draws` is false where prompts are answered alone. Throws
 * UnknownModelError for a model that is not served.
 */
export function answering(exchange: Exchange, asked: string | null, draws = true): Answering {
  const { context, notes } = exchange
  const { name, call } = context.models.find(asked)
  return {
    engine: notes.watch(context.engine, name, draws),
    model: name,
    call: { ...callOptions(exchange), ...call },
  }
}

/** When a request is given up, and whose trace it is in. */
function callOptions({ context, incoming: { signal, header } }: Exchange): CallOptions {
  if (!context.config.traces) return { signal }
  const given = ['traceparent', 'tracestate'].map((name) => [name, header(name)] as const)
  const traceHeaders = Object.fromEntries(given.filter(([, value]) => value !== null))
  return { signal, traceHeaders: traceHeaders as TraceHeaders }
}
