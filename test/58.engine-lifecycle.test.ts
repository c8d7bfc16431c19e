import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { EngineError, LLMEngine, type OutputDelta } from '../lib/index.js'
import { EXACT, greedyCases } from './support/models.js'

const GREEDY = { temperature: 0, maxTokens: 32 } as const
const cases = greedyCases('demo.json')
const story = cases.find(({ prompt }) => prompt === 'Once upon a time')!

describe.each([false, true])('with asyncScheduling: %s', (asyncScheduling) => {
  let engine: LLMEngine
  beforeAll(async () => {
    engine = await LLMEngine.load('demo', { ...EXACT, asyncScheduling })
  })
  afterAll(() => engine.close())
  afterEach(() => {
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
  })

  describe('abort', () => {
    const endless = { maxTokens: 1500, ignoreEos: true, temperature: 0 }

    test('a signal rejects with its reason', async () => {
      const controller = new AbortController()
      const reason = new Error('enough')
      const running = engine.generate(['One', 'Two'], endless, { signal: controller.signal })
      setTimeout(() => controller.abort(reason), 30)
      await expect(running).rejects.toBe(reason)
    })

    test('any number of requests share a signal without a warning', async () => {
      const warnings: Error[] = []
      const note = (warning: Error) => warnings.push(warning)
      process.on('warning', note)
      const { signal } = new AbortController()
      const streams = Array.from({ length: 12 }, () => engine.stream('One', GREEDY, { signal }))
      await Promise.all(streams.map((stream) => stream.next()))
      await Promise.all(streams.map((stream) => stream.return()))
      process.off('warning', note)
      expect(warnings).toEqual([])
    })

    test('an aborted signal starts nothing', async () => {
      await engine.step() // ends the step in flight of the requests aborted above
      const before = engine.stats().steps
      const signal = AbortSignal.abort('no')
      await expect(engine.generate('One', endless, { signal })).rejects.toBe('no')
      const stream = engine.stream('One', endless, { signal })
      await expect(stream.next()).rejects.toBe('no')
      expect(engine.stats().steps).toBe(before)
    })

    test("abort(id) ends a request with 'abort' and what there is", async () => {
      let last: OutputDelta | undefined
      let tokens = 0
      for await (const delta of engine.stream('One', endless)) {
        last = delta
        tokens += delta.tokenIds.length
        if (tokens > 5 && delta.finishReason === null) {
          expect(engine.abort(delta.requestId)).toBe(true)
        }
      }
      expect(last!.finishReason).toBe('abort')
      expect(engine.abort('no such request')).toBe(false)
    })

    test('the first failing prompt of a list ends the others', async () => {
      const bad = { promptTokenIds: [99_999] }
      await expect(engine.generate(['One', bad, 'Two'], endless)).rejects.toThrow(RangeError)
      expect(engine.stats()).toMatchObject({ running: 0, waiting: 0 })
    })
  })

  describe('addRequest and step', () => {
    test('one step at a time gives the requests that moved', async () => {
      engine.addRequest('a', story.prompt, { temperature: 0, maxTokens: 4 })
      engine.addRequest('b', { promptTokenIds: [5, 6, 7] }, { temperature: 0, maxTokens: 2 })
      const seen: Record<string, number[]> = {}
      for (let moved; (moved = await engine.step()).length > 0;) {
        for (const { requestId, outputs } of moved) seen[requestId] = outputs[0]!.tokenIds
      }
      expect(seen.a).toEqual(story.greedyIds.slice(0, 4))
      expect(seen.b).toHaveLength(2)
    })

    test('nothing to do gives nothing', async () => {
      expect(await engine.step()).toEqual([])
    })

    test('a long text is tokenised meanwhile', async () => {
      const text = 'Once upon a time there was a cat. '.repeat(600)
      engine.addRequest('long', text.slice(0, 17_000), { maxTokens: 1 })
      await expect(engine.step()).rejects.toThrow(/prompt: expected at most/)
      expect(await engine.step()).toEqual([])
    })

    test('an aborted request is given by the next step', async () => {
      engine.addRequest('a', story.prompt, { maxTokens: 100, ignoreEos: true })
      await engine.step()
      engine.abort('a')
      const [output] = await engine.step()
      expect(output).toMatchObject({ requestId: 'a', finished: true })
      expect(output!.outputs[0]!.finishReason).toBe('abort')
    })

    test('so is one whose grammar was still being compiled, and its id is free at once', async () => {
      const say = (word: string) => ({ structuredOutputs: { choice: [word] } })
      engine.addRequest('a', story.prompt, say('no'))
      expect(engine.abort('a')).toBe(true)
      engine.addRequest('a', story.prompt, say('yes'))
      const ended: unknown[] = []
      for (let moved; (moved = await engine.step()).length > 0;) {
        for (const { finished, outputs } of moved) {
          if (finished) ended.push([outputs[0]!.finishReason, outputs[0]!.text])
        }
      }
      expect(ended).toEqual([
        ['abort', ''],
        ['stop', 'yes'],
      ])
    })

    test('a text that is too long is no failure once it is aborted', async () => {
      engine.addRequest('long', 'Once upon a time there was a cat. '.repeat(500), { maxTokens: 1 })
      expect(engine.abort('long')).toBe(true)
      expect(await engine.step()).toEqual([])
    })

    test('the engine steps requests of addRequest along while it steps by itself', async () => {
      engine.addRequest('a', story.prompt, { temperature: 0, maxTokens: 2 })
      await engine.generate('Hello', GREEDY)
      const [output] = await engine.step()
      expect(output!.outputs[0]!.tokenIds).toEqual(story.greedyIds.slice(0, 2))
    })

    test('step throws busy while the engine steps by itself', async () => {
      const running = engine.stream('Hello', { maxTokens: 200, ignoreEos: true })
      await running.next()
      await expect(engine.step()).rejects.toMatchObject({ code: 'busy' })
      await running.return()
    })

    test('two callers cannot step at once', async () => {
      engine.addRequest('a', story.prompt, { maxTokens: 1 })
      const [first, second] = await Promise.allSettled([engine.step(), engine.step()])
      expect(first.status).toBe('fulfilled')
      expect(second).toMatchObject({ status: 'rejected', reason: { code: 'busy' } })
    })
  })

  describe('close', () => {
    test('rejects what runs, and everything after it, with closed; twice is fine', async () => {
      const own = await LLMEngine.load('demo', { ...EXACT, asyncScheduling })
      const running = own.generate('One', { maxTokens: 1000, ignoreEos: true })
      const failed = expect(running).rejects.toMatchObject({ code: 'closed' })
      await new Promise((resolve) => setTimeout(resolve, 10))
      await Promise.all([own.close(), own.close()])
      await failed
      await expect(own.generate('One')).rejects.toBeInstanceOf(EngineError)
      await expect(own.step()).rejects.toMatchObject({ code: 'closed' })
      expect(() => own.stream('One')).toThrow('closed')
      expect(() => {
        own.addRequest('a', 'One')
      }).toThrow('closed')
    })
  })
})
