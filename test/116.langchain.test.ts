import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ChatOpenAI } from '@langchain/openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { LLMEngine } from '../lib/index.js'
import { createHandler, toNodeListener } from '../lib/server/index.js'

describe('LangChain', () => {
  let engine: LLMEngine
  let server: Server
  let model: ChatOpenAI
  beforeAll(async () => {
    engine = await LLMEngine.load('demo', { log: false })
    server = createServer(toNodeListener(createHandler(engine))).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    const options = { model: 'demo', apiKey: 'none', temperature: 0, maxRetries: 0 }
    model = new ChatOpenAI({ ...options, configuration: { baseURL } })
  })
  afterAll(async () => {
    server.closeAllConnections()
    server.close()
    await engine.close()
  })

  it('invokes and streams the same answer', async () => {
    const answer = await model.invoke('What does a cat say?')
    let streamed = ''
    for await (const { text } of await model.stream('What does a cat say?')) streamed += text
    expect(answer.text).toMatch(/cat/)
    expect(streamed).toBe(answer.text)
    expect(answer.usage_metadata!.output_tokens).toBeGreaterThan(0)
  })

  it('gets an object of a schema', async () => {
    const schema = z.object({ name: z.string().max(10), age: z.number().int().min(0).max(99) })
    const structured = model.withStructuredOutput(schema, { method: 'jsonSchema', name: 'person' })
    const person = await structured.invoke('Make up a person.')
    expect(schema.parse(person)).toEqual(person)
  })
})
