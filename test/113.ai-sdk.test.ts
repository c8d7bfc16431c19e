import {
  type JSONValue,
  embed,
  embedMany,
  generateObject,
  generateText,
  jsonSchema,
  Output,
  stepCountIs,
  streamText,
  tool,
} from 'ai'
/* eslint @typescript-eslint/no-deprecated: off -- generateObject is what ai 6 programs still call */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createOctavo, type OctavoProvider } from '../lib/ai/index.js'
import { chatTurnsOf } from '../lib/ai/messages.js'
import { LLMEngine } from '../lib/index.js'

let engine: LLMEngine
let octavo: OctavoProvider
beforeAll(async () => {
  engine = await LLMEngine.load('demo', { log: false, maxModelLen: 1024 })
  octavo = createOctavo(engine)
})
afterAll(() => engine.close())

const weather = tool({
  description: 'The weather in a city',
  inputSchema: z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(1).max(5) }),
  execute: ({ city }) => Promise.resolve(`sunny in ${city}`),
})

describe('the AI SDK', () => {
  it('generates the text that the engine does, with its usage', async () => {
    const prompt = 'What does a cat say?'
    const options = { temperature: 0, maxOutputTokens: 12, seed: 1 }
    const { text, usage, finishReason } = await generateText({
      model: octavo(),
      prompt,
      ...options,
    })
    const reply = await engine.chat([{ role: 'user', content: prompt }], {
      temperature: 0,
      maxTokens: 12,
    })
    const [output] = reply.outputs
    expect(text).toBe(output!.text)
    expect(usage).toMatchObject({
      inputTokens: reply.promptTokenIds.length,
      outputTokens: output!.tokenIds.length,
    })
    expect(finishReason).toBe(output!.finishReason)
  })

  it('streams the same text, in pieces', async () => {
    const options = {
      model: octavo('demo'),
      prompt: 'Tell me a story.',
      temperature: 0,
      maxOutputTokens: 30,
    }
    const { textStream, usage, text } = streamText(options)
    const pieces: string[] = []
    for await (const piece of textStream) pieces.push(piece)
    expect(pieces.length).toBeGreaterThan(3)
    expect(pieces.join('')).toBe((await generateText(options)).text)
    expect(await text).toBe(pieces.join(''))
    expect((await usage).outputTokens).toBeGreaterThan(3)
  })

  it('embeds one value and many', async () => {
    const model = octavo.embeddingModel()
    const { embedding, usage } = await embed({ model, value: 'A cat.' })
    const [output] = await engine.embed('A cat.')
    expect(embedding).toEqual([...output!.embedding])
    expect(usage.tokens).toBe(output!.promptTokenIds.length)
    const providerOptions = { octavo: { pooling: 'mean', dimensions: 8 } }
    const many = await embedMany({ model, values: ['A cat.', 'A dog.'], providerOptions })
    const outputs = await engine.embed(['A cat.', 'A dog.'], { pooling: 'mean', dimensions: 8 })
    expect(many.embeddings).toEqual(outputs.map((each) => [...each.embedding]))
  })

  it('generates objects of a schema', async () => {
    const schema = z.object({
      name: z.string().min(1).max(12),
      age: z.number().int().min(0).max(120),
      tags: z.array(z.enum(['kind', 'brave'])).max(3),
    })
    const { object } = await generateObject({
      model: octavo(),
      schema,
      prompt: 'Make up a person.',
      seed: 4,
    })
    expect(schema.parse(object)).toEqual(object)
  })

  it('generates objects without white space, where that is wanted', async () => {
    const compact = { structuredOutputs: { disableAnyWhitespace: true } }
    const schema = z.object({ a: z.object({}), b: z.number() })
    const { text } = await generateText({
      ...{
        model: octavo(),
        output: Output.object({ schema }),
        prompt: 'Make up a number.',
        seed: 1,
      },
      providerOptions: { octavo: compact },
    })
    expect(text).toMatch(/^\{"a": ?\{\}, ?"b": ?[-.\de+]+\}$/i)
  })

  it('calls a tool that it must call, and gives its result to the next step', async () => {
    const { steps } = await generateText({
      ...{ model: octavo(), prompt: 'Weather?', tools: { weather }, seed: 2 },
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
      stopWhen: stepCountIs(2),
    })
    const [first] = steps
    expect(first!.finishReason).toBe('tool-calls')
    const [call] = first!.toolCalls
    expect(call).toMatchObject({ toolName: 'weather' })
    const { city } = call!.input as { city: string }
    expect(first!.toolResults[0]!.output).toBe(`sunny in ${city}`)
    expect(steps).toHaveLength(2)
  })

  it('streams a call of the tool that is chosen', async () => {
    const result = streamText({
      ...{ model: octavo(), prompt: 'Weather?', tools: { weather }, seed: 3 },
      toolChoice: { type: 'tool', toolName: 'weather' },
    })
    const types = new Set<string>()
    for await (const part of result.fullStream) types.add(part.type)
    expect([...types]).toEqual(
      expect.arrayContaining(['tool-input-start', 'tool-call', 'tool-result']),
    )
    expect(types).not.toContain('error')
  })

  it('aborts, and leaves nothing behind', async () => {
    const stop = new AbortController()
    const { textStream } = streamText({
      ...{ model: octavo(), prompt: 'Tell me a story.', maxOutputTokens: 900 },
      providerOptions: { octavo: { ignoreEos: true } },
      abortSignal: stop.signal,
    })
    for await (const piece of textStream) {
      if (piece !== '') stop.abort()
    }
    while (engine.stats().running > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(engine.stats().usedBlocks).toBe(0)
    engine.checkIntegrity()
  })

  it('takes variables of the template and a salt of the cache', async () => {
    const own = await LLMEngine.load('demo', {
      log: false,
      chatTemplate: '{{ messages[0].content }} {{ tone }} {{ mood }}',
      defaultChatTemplateKwargs: { tone: 'kind', mood: 'calm' },
    })
    const chat = own.chat.bind(own)
    const prompts: (string | null)[] = []
    own.chat = async (...args) => {
      const output = await chat(...args)
      prompts.push(`${output.prompt} ${output.metrics.cachedTokens}`)
      return output
    }
    const model = createOctavo(own)()
    const prompt = 'Tell me a long story of a small cat and a big dog, who were good friends.'
    const ask = (octavo: Record<string, JSONValue>) =>
      generateText({
        model,
        prompt,
        maxOutputTokens: 1,
        maxRetries: 0,
        providerOptions: { octavo },
      })
    await ask({ variables: { tone: 'sad' } })
    await ask({ variables: { tone: 'sad' }, cacheSalt: 'a' })
    await ask({ variables: { tone: 'sad' } })
    expect(prompts).toEqual([
      `${prompt} sad calm 0`,
      `${prompt} sad calm 0`,
      `${prompt} sad calm 16`,
    ])
    await expect(ask({ variables: 3 })).rejects.toThrow('variables: expected an object, found 3')
    await expect(ask({ cacheSalt: '' })).rejects.toThrow('cacheSalt: expected a string that is not')
    await own.close()
  })

  it('refuses what the engine has not', async () => {
    expect(() => octavo('other')).toThrow('there is no model "other"')
    expect(() => octavo.embeddingModel('other')).toThrow('there is no embedding model')
    const schema = jsonSchema({ type: 'array', uniqueItems: true })
    const wrong = generateObject({ model: octavo(), schema, prompt: 'x', maxRetries: 0 })
    await expect(wrong).rejects.toThrow(
      '#/uniqueItems: only items that an enum lists can be granted',
    )
  })
})

describe('messages', () => {
  it('become turns of a chat, calls and results included', () => {
    const id = { toolCallId: 'c1', toolName: 'weather' }
    const turns = chatTurnsOf([
      { role: 'system', content: 'Be kind.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hi' },
          { type: 'text', text: 'there' },
        ],
      },
      {
        role: 'assistant',
        content: [
          { type: 'reasoning', text: 'hm' },
          { type: 'tool-call', ...id, input: { city: 'Rome' } },
        ],
      },
      {
        role: 'tool',
        content: [{ type: 'tool-result', ...id, output: { type: 'json', value: { sky: 'blue' } } }],
      },
    ])
    const call = {
      id: 'c1',
      type: 'function',
      function: { name: 'weather', arguments: { city: 'Rome' } },
    }
    expect(turns).toEqual([
      { role: 'system', content: 'Be kind.' },
      { role: 'user', content: 'Hi\nthere' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', name: 'weather', tool_call_id: 'c1', content: '{"sky":"blue"}' },
    ])
  })

  it('hold no files', () => {
    const file = { type: 'file', mediaType: 'image/png', data: 'aa' } as const
    expect(() => chatTurnsOf([{ role: 'user', content: [file] }])).toThrow(
      'type file is not supported',
    )
  })
})
