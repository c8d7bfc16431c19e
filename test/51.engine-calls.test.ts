import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { loadEngineParts } from '../lib/engine/load.js'
import { LLMEngine, type OutputDelta } from '../lib/index.js'
import { EXACT, greedyCases } from './support/models.js'

const GREEDY = { temperature: 0, maxTokens: 32 } as const
const cases = greedyCases('demo.json')
const story = cases.find(({ prompt }) => prompt === 'Once upon a time')!

let engine: LLMEngine
beforeAll(async () => {
  engine = await LLMEngine.load('demo', EXACT)
})
afterAll(() => engine.close())
afterEach(() => {
  engine.checkIntegrity()
  expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
})

async function textOf(prompt: string, params = {}) {
  const [output] = await engine.generate(prompt, { ...GREEDY, ...params })
  return output!.outputs[0]!
}

describe('generate', () => {
  test('gives outputs in the order of the prompts, with one params for each', async () => {
    const outputs = await engine.generate(
      cases.map(({ prompt }) => prompt),
      cases.map((_, i) => ({ temperature: 0, maxTokens: 1 + i })),
    )
    outputs.forEach((output, i) => {
      const { prompt, greedyIds } = cases[i]!
      expect(output.prompt).toBe(prompt)
      expect(output.finished).toBe(true)
      expect(output.outputs[0]!.tokenIds).toEqual(greedyIds.slice(0, 1 + i))
    })
  })

  test('an empty list gives an empty list', async () => {
    expect(await engine.generate([])).toEqual([])
  })

  test('takes token ids in place of text', async () => {
    const [output] = await engine.generate({ promptTokenIds: story.promptIds }, GREEDY)
    expect(output!.prompt).toBeNull()
    expect(output!.outputs[0]!.tokenIds).toEqual(story.greedyIds.slice(0, 32))
  })

  test('serves many more prompts than run at once', async () => {
    const small = await LLMEngine.load('demo', { ...EXACT, maxNumSeqs: 3 })
    const prompts = Array.from({ length: 20 }, (_, i) => cases[i % cases.length]!.prompt)
    const outputs = await small.generate(prompts, { temperature: 0, maxTokens: 5 })
    outputs.forEach((output, i) => {
      const expected = cases[i % cases.length]!.greedyIds.slice(0, 5)
      expect(output.outputs[0]!.tokenIds).toEqual(expected)
    })
    await small.close()
  })

  test('times are in order', async () => {
    const [output] = await engine.generate('Hello', GREEDY)
    const { arrivalTime, firstScheduledTime, firstTokenTime, finishedTime } = output!.metrics
    const times = [arrivalTime, firstScheduledTime!, firstTokenTime!, finishedTime!]
    expect(times).toEqual([...times].sort((a, b) => a - b))
  })
})

describe('endings', () => {
  test('maxTokens ends with length', async () => {
    expect(await textOf(story.prompt, { maxTokens: 3 })).toMatchObject({
      finishReason: 'length',
      stopReason: null,
      tokenIds: story.greedyIds.slice(0, 3),
    })
  })

  test("the model's end token ends with stop, is in tokenIds and not in the text", async () => {
    const output = await textOf(story.prompt, { maxTokens: 500 })
    expect(output).toMatchObject({ finishReason: 'stop', stopReason: null })
    expect([0, 2]).toContain(output.tokenIds.at(-1))
    expect(output.text).not.toContain('<|')
  })

  test('ignoreEos goes on after it', async () => {
    const natural = await textOf(story.prompt, { maxTokens: 500 })
    const length = natural.tokenIds.length
    const output = await textOf(story.prompt, { maxTokens: length + 5, ignoreEos: true })
    expect(output.tokenIds).toHaveLength(length + 5)
    expect(output.finishReason).toBe('length')
  })

  test('a stop string over a token border ends the text before it', async () => {
    const whole = await textOf(story.prompt)
    const stop = whole.text.slice(11, 19)
    const output = await textOf(story.prompt, { stop })
    expect(output).toMatchObject({ finishReason: 'stop', stopReason: stop })
    expect(output.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)))
    expect(output.tokenIds).toEqual(whole.tokenIds.slice(0, output.tokenIds.length))
  })

  test('includeStopStrInOutput keeps the stop string', async () => {
    const whole = await textOf(story.prompt)
    const stop = whole.text.slice(11, 19)
    const output = await textOf(story.prompt, { stop: [stop], includeStopStrInOutput: true })
    expect(output.text).toBe(whole.text.slice(0, whole.text.indexOf(stop) + stop.length))
  })

  test('a stop token id ends with that id', async () => {
    const id = story.greedyIds[6]!
    const output = await textOf(story.prompt, { stopTokenIds: [id] })
    const at = story.greedyIds.indexOf(id)
    expect(output).toMatchObject({ finishReason: 'stop', stopReason: id })
    expect(output.tokenIds).toEqual(story.greedyIds.slice(0, at + 1))
  })

  test('minTokens keeps end tokens, stop tokens and stop strings from ending it early', async () => {
    const natural = await textOf(story.prompt, { maxTokens: 500 })
    const minTokens = natural.tokenIds.length + 3
    const output = await textOf(story.prompt, { minTokens, maxTokens: 500, stop: '.' })
    expect(output.tokenIds.length).toBeGreaterThan(minTokens)
    expect(output.tokenIds.slice(0, minTokens)).not.toContain(2)
  })

  test('maxModelLen ends with length', async () => {
    const short = await LLMEngine.load('demo', { ...EXACT, maxModelLen: 12 })
    const [output] = await short.generate(story.prompt, { temperature: 0, maxTokens: 100 })
    expect(output!.outputs[0]!.finishReason).toBe('length')
    expect(output!.promptTokenIds.length + output!.outputs[0]!.tokenIds.length).toBe(12)
    await short.close()
  })
})

describe('choosing tokens', () => {
  test('logitBias moves, forbids and forces', async () => {
    const [first] = story.greedyIds as [number]
    const other = await textOf(story.prompt, { maxTokens: 1, logitBias: { [first]: -100 } })
    expect(other.tokenIds[0]).not.toBe(first)
    const forced = await textOf(story.prompt, { maxTokens: 4, logitBias: new Map([[77, 100]]) })
    expect(forced.tokenIds).toEqual([77, 77, 77, 77])
  })

  test('allowedTokenIds are the only ones drawn', async () => {
    const allowedTokenIds = [300, 301, 1535]
    const output = await textOf(story.prompt, { temperature: 1, seed: 3, allowedTokenIds })
    expect(output.tokenIds.every((id) => allowedTokenIds.includes(id))).toBe(true)
  })

  test('badWords never appear', async () => {
    const whole = await textOf(story.prompt)
    const name = /named (\w+)/.exec(whole.text)![1]!
    const output = await textOf(story.prompt, { badWords: [name] })
    expect(output.text).not.toContain(name)
    expect(output.text.slice(0, 10)).toBe(whole.text.slice(0, 10))
  })

  test('a strong presence penalty repeats nothing', async () => {
    const output = await textOf(story.prompt, {
      presencePenalty: 2,
      frequencyPenalty: 2,
      repetitionPenalty: 50,
      ignoreEos: true,
    })
    expect(new Set(output.tokenIds).size).toBe(output.tokenIds.length)
  })

  test('the same seed gives the same tokens in any company', async () => {
    const params = { temperature: 1, seed: 1234, maxTokens: 24, ignoreEos: true }
    const alone = await textOf(story.prompt, params)
    const crowd = await engine.generate(
      [...cases.map(({ prompt }) => prompt), story.prompt],
      [...cases.map((_, i) => ({ temperature: 1, maxTokens: 3 + 5 * i })), params],
    )
    expect(crowd.at(-1)!.outputs[0]!.tokenIds).toEqual(alone.tokenIds)
    const other = await textOf(story.prompt, { ...params, seed: 1235 })
    expect(other.tokenIds).not.toEqual(alone.tokenIds)
  })

  test('engines with the same seed draw the same for requests without one', async () => {
    const draws = await Promise.all(
      [7, 7, 8].map(async (seed) => {
        const own = await LLMEngine.load('demo', { ...EXACT, seed })
        const outputs = await own.generate(['A', 'B'], { maxTokens: 12, ignoreEos: true })
        await own.close()
        return outputs.map(({ outputs: [output] }) => output!.tokenIds)
      }),
    )
    expect(draws[0]).toEqual(draws[1])
    expect(draws[0]).not.toEqual(draws[2])
  })
})

describe('several outputs', () => {
  const params = { n: 4, temperature: 1, seed: 5, maxTokens: 20, ignoreEos: true }

  test('n outputs differ, share the prompt, and each is a sequence of its own', async () => {
    const [output] = await engine.generate(story.prompt, params)
    expect(output!.outputs.map(({ index }) => index)).toEqual([0, 1, 2, 3])
    const texts = new Set(output!.outputs.map(({ text }) => text))
    expect(texts.size).toBe(4)
    const again = await engine.generate([story.prompt, 'Hello'], [params, { maxTokens: 9 }])
    expect(again[0]!.outputs.map(({ tokenIds }) => tokenIds)).toEqual(
      output!.outputs.map(({ tokenIds }) => tokenIds),
    )
  })

  test('bestOf returns the most likely ones', async () => {
    const [all] = await engine.generate(story.prompt, { ...params, n: 4, logprobs: 0 })
    const [best] = await engine.generate(story.prompt, { ...params, n: 2, bestOf: 4 })
    const likely = [...all!.outputs]
      .sort((a, b) => b.cumulativeLogprob! - a.cumulativeLogprob!)
      .slice(0, 2)
    expect(best!.outputs.map(({ tokenIds }) => tokenIds)).toEqual(
      likely.map(({ tokenIds }) => tokenIds),
    )
    expect(best!.outputs.map(({ index }) => index)).toEqual([0, 1])
  })
})

describe('log-probabilities', () => {
  test('the chosen token comes first, then the most likely ones with their ranks', async () => {
    const output = await textOf(story.prompt, { logprobs: 3, maxTokens: 4 })
    let sum = 0
    output.logprobs!.forEach((row, i) => {
      const [id, chosen] = [...row][0]!
      expect(id).toBe(output.tokenIds[i])
      expect(chosen.rank).toBe(1)
      expect([...row.values()].map(({ rank }) => rank)).toEqual([1, 2, 3])
      sum += chosen.logprob
    })
    expect(output.cumulativeLogprob).toBeCloseTo(sum, 5)
  })

  test('decodedToken is the text of each token', async () => {
    const output = await textOf(story.prompt, { logprobs: 0, maxTokens: 8 })
    const pieces = output.logprobs!.map((row, i) => row.get(output.tokenIds[i]!)!.decodedToken)
    expect(pieces.join('')).toBe(output.text)
  })

  test('none unless asked for', async () => {
    const output = await textOf(story.prompt)
    expect(output.logprobs).toBeUndefined()
    expect(output.cumulativeLogprob).toBeNull()
  })

  test('promptLogprobs do not depend on how the prompt is cut', async () => {
    const prompt = cases.map((each) => each.prompt).join(' ')
    const params = { promptLogprobs: 2, maxTokens: 1, temperature: 0 }
    const [whole] = await engine.generate(prompt, params)
    const cut = await LLMEngine.load('demo', { ...EXACT, maxNumBatchedTokens: 7, maxNumSeqs: 2 })
    const [pieces] = await cut.generate(prompt, params)
    expect(pieces!.promptLogprobs).toEqual(whole!.promptLogprobs)
    await cut.close()
  })
})

describe('a step that is computed', () => {
  test('is told of once the next one is submitted, and the last one at once', async () => {
    const parts = await loadEngineParts('demo', EXACT)
    let submitted = 0
    const submit = parts.executor.submit.bind(parts.executor)
    parts.executor.submit = (step) => {
      submitted++
      submit(step)
    }
    await using own = new LLMEngine(parts)
    const seen: number[] = []
    for await (const { finishReason } of own.stream('Hello', { ...GREEDY, maxTokens: 5 })) {
      seen.push(submitted)
      if (finishReason !== null) break
    }
    expect(seen).toEqual([2, 3, 4, 5, 5])
  })

  test('is told of when nothing follows it, since the others were ended', async () => {
    engine.addRequest('a', 'Hello', GREEDY)
    const [stepped] = await engine.step()
    expect(stepped!.outputs[0]!.tokenIds).toHaveLength(1)
    const controller = new AbortController()
    const stream = engine.stream('Hello', GREEDY, { signal: controller.signal })
    await stream.next()
    controller.abort(new Error('enough'))
    await expect(stream.next()).rejects.toThrow('enough')
    let last = stepped!
    for (let moved = await engine.step(); moved.length > 0; moved = await engine.step())
      last = moved[0]!
    expect(last).toMatchObject({ requestId: 'a', finished: true })
    expect(last.outputs[0]!.text).toBe((await textOf('Hello')).text)
  })
})

describe('stream', () => {
  test('concatenated deltas equal the final text and tokens, for every output', async () => {
    const params = { n: 3, temperature: 1, seed: 9, maxTokens: 40 }
    const deltas: OutputDelta[] = []
    for await (const delta of engine.stream(story.prompt, params)) deltas.push(delta)
    const [output] = await engine.generate(story.prompt, params)
    for (const { index, text, tokenIds, finishReason } of output!.outputs) {
      const own = deltas.filter((delta) => delta.index === index)
      expect(own.map((delta) => delta.text).join('')).toBe(text)
      expect(own.flatMap((delta) => delta.tokenIds)).toEqual(tokenIds)
      expect(own.map((delta) => delta.finishReason)).toEqual([
        ...Array<null>(own.length - 1).fill(null),
        finishReason,
      ])
    }
  })

  test('text that may begin a stop string is held back', async () => {
    const whole = await textOf(story.prompt)
    const stop = `${whole.text.slice(8, 14)}nothing like this`
    let text = ''
    for await (const delta of engine.stream(story.prompt, { ...GREEDY, stop })) text += delta.text
    expect(text).toBe(whole.text)
  })

  test('leaving the loop ends the request', async () => {
    for await (const delta of engine.stream(story.prompt, { maxTokens: 1000, ignoreEos: true })) {
      if (delta.tokenIds.length > 0) break
    }
    expect(engine.stats().running).toBe(0)
  })

  test('a slow reader gets what gathered meanwhile as one delta', async () => {
    let steps = 0
    const tokens: number[] = []
    for await (const delta of engine.stream(story.prompt, { ...GREEDY, ignoreEos: true })) {
      if (steps++ === 0) await new Promise((resolve) => setTimeout(resolve, 300))
      tokens.push(...delta.tokenIds)
    }
    expect(tokens).toHaveLength(32)
    expect(steps).toBeLessThan(32)
  })
})

describe('chat', () => {
  const messages = [{ role: 'user', content: 'What is the capital of France?' }]

  test('renders the template and runs to the end of the answer', async () => {
    const output = await engine.chat(messages, { temperature: 0 })
    expect(output.prompt).toContain('<|im_start|>user\nWhat is the capital of France?<|im_end|>')
    expect(output.outputs[0]!.text).toContain('Paris')
    expect(output.outputs[0]!.finishReason).toBe('stop')
  })

  test('streams the same', async () => {
    let text = ''
    for await (const delta of engine.chatStream(messages, { temperature: 0 })) text += delta.text
    expect(text).toBe((await engine.chat(messages, { temperature: 0 })).outputs[0]!.text)
  })

  test("the next turn finds the last one's blocks", async () => {
    const first = await engine.chat(messages, { temperature: 0 })
    const turns = [
      ...messages,
      { role: 'assistant', content: first.outputs[0]!.text },
      { role: 'user', content: 'And of Italy?' },
    ]
    const second = await engine.chat(turns, { temperature: 0 })
    expect(second.metrics.cachedTokens).toBeGreaterThan(0)
  })
})

describe('prefix cache', () => {
  const prompt = 'Once upon a time there was a little cat who lived in a red house by the sea. '

  test('a second prompt with the same beginning computes only the rest, to the same tokens', async () => {
    engine.resetPrefixCache()
    const [first] = await engine.generate(prompt, GREEDY)
    const [second] = await engine.generate(prompt, GREEDY)
    expect(first!.metrics.cachedTokens).toBe(0)
    expect(second!.metrics.cachedTokens).toBeGreaterThanOrEqual(16)
    expect(second!.outputs[0]!.tokenIds).toEqual(first!.outputs[0]!.tokenIds)
  })

  test('another salt shares nothing', async () => {
    await engine.generate(prompt, GREEDY)
    const [salted] = await engine.generate({ prompt, cacheSalt: 'mine' }, GREEDY)
    expect(salted!.metrics.cachedTokens).toBe(0)
  })

  test('resetPrefixCache forgets', async () => {
    await engine.generate(prompt, GREEDY)
    engine.resetPrefixCache()
    expect(engine.stats().cachedBlocks).toBe(0)
    const [output] = await engine.generate(prompt, GREEDY)
    expect(output!.metrics.cachedTokens).toBe(0)
  })
})
