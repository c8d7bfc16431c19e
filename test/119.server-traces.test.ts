import { propagation, SpanStatusCode, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { traceEngine } from '../lib/server/index.js'
import { TestServer } from './support/server.js'

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
trace.setGlobalTracerProvider(provider)
propagation.setGlobalPropagator(new W3CTraceContextPropagator())
afterAll(() => provider.shutdown())

const server = await TestServer.start({ traces: true })
const traceId = '0af7651916cd43dd8448eb211c80319c'
const parent = 'b7ad6b7169203331'
const headers = {
  'content-type': 'application/json',
  traceparent: `00-${traceId}-${parent}-01`,
  tracestate: 'vendor=value',
}

beforeEach(() => exporter.reset())

test('a request has a span with its numbers, within the trace of its caller', async () => {
  const body = { prompt: 'Once upon a time', max_tokens: 5, temperature: 0, top_p: 0.5 }
  const response = await server.post('/v1/completions', body, { headers })
  const { usage } = (await response.json()) as { usage: Record<string, number> }
  const [span] = exporter.getFinishedSpans()
  expect(span!.name).toBe('llm_request')
  expect(span!.spanContext().traceId).toBe(traceId)
  expect(span!.spanContext().traceState?.get('vendor')).toBe('value')
  expect(span!.parentSpanContext).toMatchObject({ spanId: parent, isRemote: true })
  expect(span!.instrumentationScope.name).toBe('octavo')
  expect(span!.attributes).toMatchObject({
    'gen_ai.request.temperature': 0,
    'gen_ai.request.top_p': 0.5,
    'gen_ai.request.max_tokens': 5,
    'gen_ai.request.n': 1,
    'gen_ai.response.model': 'demo',
    'gen_ai.response.finish_reasons': ['length'],
    'gen_ai.usage.prompt_tokens': usage.prompt_tokens,
    'gen_ai.usage.completion_tokens': 5,
    'gen_ai.usage.num_sequences': 1,
  })
  const seconds = (name: string) => span!.attributes[`gen_ai.latency.${name}`] as number
  const whole = seconds('e2e')
  expect(seconds('time_in_queue')).toBeGreaterThanOrEqual(0)
  expect(seconds('time_to_first_token')).toBeLessThanOrEqual(whole)
  const parts = seconds('time_in_queue') + seconds('time_in_model_inference')
  expect(parts).toBeCloseTo(whole, 6)
})

test('every way to ask is traced: chats, streams, responses, embeddings', async () => {
  const messages = [{ role: 'user', content: 'Hi' }]
  const bodies: [string, object][] = [
    ['/v1/chat/completions', { messages, max_tokens: 2 }],
    ['/v1/chat/completions', { messages, max_tokens: 2, stream: true }],
    ['/v1/completions', { prompt: ['One', 'Two'], max_tokens: 2, stream: true }],
    ['/v1/responses', { input: 'Hi', max_output_tokens: 2 }],
    ['/v1/embeddings', { input: 'Hi' }],
  ]
  for (const [path, body] of bodies) {
    exporter.reset()
    await (await server.post(path, body, { headers })).text()
    const spans = exporter.getFinishedSpans()
    expect(spans, path).toHaveLength('prompt' in body ? 2 : 1)
    for (const span of spans) expect(span.spanContext().traceId).toBe(traceId)
  }
  expect(exporter.getFinishedSpans()[0]!.attributes).not.toHaveProperty([
    'gen_ai.latency.time_to_first_token',
  ])
})

test('without a caller of its own, a request begins a trace', async () => {
  await (await server.post('/v1/completions', { prompt: 'One', max_tokens: 1 })).text()
  const [span] = exporter.getFinishedSpans()
  expect(span!.parentSpanContext).toBeUndefined()
  expect(span!.status.code).toBe(SpanStatusCode.UNSET)
})

test('an engine without a server is traced, until it is not', async () => {
  const engine = await LLMEngine.load('demo', { log: false })
  const stop = await traceEngine(engine)
  const { traceparent } = headers
  await engine.generate('One', { maxTokens: 1 }, { traceHeaders: { traceparent } })
  expect(exporter.getFinishedSpans()[0]!.spanContext().traceId).toBe(traceId)
  stop()
  await engine.generate('One', { maxTokens: 1 })
  expect(exporter.getFinishedSpans()).toHaveLength(1)
  const wrong = engine.generate('One', {}, { traceHeaders: 'x' as never })
  await expect(wrong).rejects.toThrow('traceHeaders: expected an object')
  await engine.close()
})
