import { existsSync } from 'node:fs'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { EngineError } from '../lib/errors.js'
import { runBatch, type BatchEngine } from '../lib/openai/batch.js'
import type { BatchProgress } from '../lib/openai/batch-progress.js'
import type { BatchResult } from '../lib/openai/batch-output.js'
import type { RequestOutput } from '../lib/engine/outputs.js'
import { temporaryFolder } from './support/files.js'

let input: string
let output: string

beforeEach(() => {
  const folder = temporaryFolder()
  input = join(folder, 'in.jsonl')
  output = join(folder, 'out.jsonl')
})

const line = (id: string, body: object = { prompt: id }) =>
  JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/completions', body })
const writeInput = (...lines: string[]) => writeFile(input, lines.join('\n') + '\n')
const ids = (count: number) => Array.from({ length: count }, (_, i) => `r${i}`)
const results = async () =>
  (await readFile(output, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((text) => JSON.parse(text) as BatchResult)

const outputOf = (prompt: string): RequestOutput => ({
  requestId: prompt,
  prompt,
  promptTokenIds: [1],
  outputs: [
    {
      index: 0,
      text: prompt.toUpperCase(),
      tokenIds: [2],
      cumulativeLogprob: null,
      finishReason: 'stop',
      stopReason: null,
    },
  ],
  finished: true,
  metrics: {
    arrivalTime: 0,
    firstScheduledTime: 0,
    firstTokenTime: 0,
    finishedTime: 0,
    cachedTokens: 0,
    preemptions: 0,
  },
})

/** An engine that answers in capitals, and counts. */
class FakeEngine {
  readonly model = 'demo'
  readonly samplingDefaults = {}
  readonly loras = { names: [], get: () => undefined }
  readonly config = { maxNumSeqs: 2 } as BatchEngine['config']
  readonly text = { chatTemplateFor: () => null } as never
  readonly stream = undefined as never
  readonly chatStream = undefined as never
  readonly embed = undefined as never
  readonly asked: string[] = []
  running = 0
  mostRunning = 0
  /** Called before each answer. */
  before: (prompt: string) => Promise<void> | void = () => undefined

  generate: BatchEngine['generate'] = async (prompts, _params, options) => {
    const [prompt] = prompts as string[]
    return [await this.#answer(prompt!, options?.signal)]
  }
  chat: BatchEngine['chat'] = (messages, _params, options) =>
    this.#answer(messages.at(-1)?.content as string, options?.signal)
  stats = () => ({ generatedTokens: this.asked.length, cacheUsage: 0.25 }) as never

  async #answer(prompt: string, signal?: AbortSignal): Promise<RequestOutput> {
    this.asked.push(prompt)
    this.mostRunning = Math.max(this.mostRunning, ++this.running)
    try {
      await this.before(prompt)
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
      return outputOf(prompt)
    } finally {
      this.running--
    }
  }
}

describe('a batch', () => {
  test('answers completions and chats in the shape of OpenAI', async () => {
    const messages = [{ role: 'user', content: 'hi' }]
    const chat = { custom_id: 'c', method: 'POST', url: '/v1/chat/completions', body: { messages } }
    await writeInput(line('a'), JSON.stringify(chat))
    const summary = await runBatch(new FakeEngine(), input, output)
    expect(summary).toMatchObject({ total: 2, finished: 2, failed: 0, skipped: 0 })
    const [a, c] = (await results()).sort((x, y) => x.id.localeCompare(y.id))
    expect(a).toMatchObject({
      id: 'batch_req_1',
      custom_id: 'a',
      response: { status_code: 200, request_id: 'req_1', body: { choices: [{ text: 'A' }] } },
      error: null,
    })
    expect(c?.response?.body).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'HI' }, finish_reason: 'stop' }],
    })
  })

  test('runs at most twice maxNumSeqs requests at once', async () => {
    await writeInput(...ids(50).map((id) => line(id)))
    const engine = new FakeEngine()
    await runBatch(engine, input, output)
    expect(engine.mostRunning).toBe(4)
    expect(new Set((await results()).map((result) => result.custom_id))).toEqual(new Set(ids(50)))
  })

  test('turns bad lines into errors and goes on', async () => {
    const id = (custom_id: unknown, rest: object) => JSON.stringify({ custom_id, ...rest })
    await writeInput(
      line('good'),
      '{"custom_id": "torn", ',
      '',
      '[]',
      id(5, { method: 'POST', url: '/v1/completions', body: {} }),
      id('get', { method: 'GET', url: '/v1/completions', body: {} }),
      id('url', { method: 'POST', url: '/v1/models', body: {} }),
      line('good'),
      line('body', { prompt: 'x', suffix: 'y' }),
      line('model', { prompt: 'x', model: 'other' }),
      line('stream', { prompt: 'x', stream: true }),
      line('last', { prompt: 'x\u2028y' }),
    )
    const summary = await runBatch(new FakeEngine(), input, output)
    expect(summary).toMatchObject({ total: 11, finished: 11, failed: 9 })
    const all = new Map((await results()).map((result) => [result.id, result]))
    const errors = Object.fromEntries(
      [2, 4, 5, 6, 7, 8].map((number) => [number, all.get(`batch_req_${number}`)?.error]),
    )
    expect(errors).toEqual({
      2: {
        code: 'invalid_json_line',
        message: expect.stringMatching(/^line 2 is not JSON/) as string,
      },
      4: {
        code: 'invalid_request',
        message: 'line 4: request: expected an object, found an empty array',
      },
      5: {
        code: 'invalid_request',
        message: 'line 5: custom_id: expected a string that is not empty, found 5',
      },
      6: { code: 'invalid_request', message: 'line 6: method: expected "POST", found "GET"' },
      7: {
        code: 'invalid_request',
        message:
          "line 7: url: expected one of '/v1/completions', '/v1/chat/completions', '/v1/responses', '/v1/embeddings', found \"/v1/models\"",
      },
      8: {
        code: 'duplicate_custom_id',
        message: 'line 8: custom_id "good" is that of line 1 already',
      },
    })
    const refused = [9, 10, 11].map((number) => all.get(`batch_req_${number}`)?.response)
    expect(refused.map((response) => response?.status_code)).toEqual([400, 404, 400])
    expect(refused[0]?.body).toMatchObject({ error: { param: 'suffix', code: 'not_supported' } })
    expect(refused[1]?.body).toMatchObject({ error: { param: 'model' } })
    expect(all.get('batch_req_12')?.response?.body).toMatchObject({
      choices: [{ text: 'X\u2028Y' }],
    })
  })

  test('serves the model under other names', async () => {
    await writeInput(line('a', { prompt: 'x', model: 'gpt' }))
    await runBatch(new FakeEngine(), input, output, { servedModelNames: ['gpt'] })
    expect((await results())[0]?.response?.body).toMatchObject({ model: 'gpt' })
  })

  test('reports each result and the end', async () => {
    await writeInput(...ids(3).map((id) => line(id)))
    const reports: BatchProgress[] = []
    await runBatch(new FakeEngine(), input, output, { onProgress: (p) => reports.push(p) })
    expect(reports.map(({ finished }) => finished)).toEqual([1, 2, 3, 3])
    expect(reports.at(-1)).toMatchObject({
      total: 3,
      generatedTokens: 3,
      cacheUsage: 0.25,
      secondsLeft: 0,
    })
  })
})

test.each<[object, string]>([
  [{ onprogress: () => 1 }, 'unknown batch option "onprogress"; did you mean onProgress?'],
  [{ onProgress: 1 }, 'onProgress: expected a function, found 1'],
  [{ signal: 1 }, 'signal: expected an AbortSignal, found 1'],
  [{ servedModelNames: 'gpt' }, 'servedModelNames: expected an array, found "gpt"'],
])('%o is refused before anything is written', async (options, message) => {
  await writeInput(line('a'))
  const run = runBatch(new FakeEngine(), input, output, options)
  await expect(run).rejects.toThrow(new TypeError(message))
  expect(existsSync(output)).toBe(false)
})

describe('a rerun', () => {
  test('does nothing where all is done, bad and repeated lines included', async () => {
    await writeInput(line('a'), 'no', line('a'), line('b', { prompt: 'x', suffix: 'y' }), line('c'))
    await runBatch(new FakeEngine(), input, output)
    const before = await readFile(output, 'utf8')
    const engine = new FakeEngine()
    const summary = await runBatch(engine, input, output)
    expect(summary).toMatchObject({ total: 5, finished: 5, skipped: 5, failed: 0 })
    expect(engine.asked).toEqual([])
    expect(await readFile(output, 'utf8')).toBe(before)
  })

  test('goes on from a torn last line, wherever it was cut', async () => {
    await writeInput(...ids(4).map((id) => line(id)))
    await runBatch(new FakeEngine(), input, output)
    const whole = await readFile(output)
    const lastStart = whole.lastIndexOf('\n', whole.length - 2) + 1
    for (const end of [lastStart, lastStart + 1, lastStart + 20, whole.length - 1]) {
      await writeFile(output, whole.subarray(0, end))
      const engine = new FakeEngine()
      await runBatch(engine, input, output)
      expect(engine.asked).toHaveLength(1)
      expect((await results()).map(({ custom_id: id }) => id).sort()).toEqual(ids(4))
    }
  })

  test.each(['{"mine": 1}\n', 'precious', '{"id":"batch_req_1"\n'])(
    'leaves a file of something else alone: %j',
    async (text) => {
      await writeInput(line('a'))
      await writeFile(output, text)
      await expect(runBatch(new FakeEngine(), input, output)).rejects.toThrow(
        /line 1 is no result of a batch; name a new file, or remove this one/,
      )
      expect(await readFile(output, 'utf8')).toBe(text)
    },
  )

  test.skipIf(!existsSync('/dev/zero'))('writes to nothing that is no file', async () => {
    await writeInput(line('a'))
    await expect(runBatch(new FakeEngine(), input, '/dev/zero')).rejects.toMatchObject({
      code: 'invalid_file',
      message: '/dev/zero is no file, which a rerun could read',
    })
  })

  test('answers lines that were added meanwhile', async () => {
    await writeInput(line('a'))
    await runBatch(new FakeEngine(), input, output)
    await appendFile(input, line('b') + '\n')
    const engine = new FakeEngine()
    await runBatch(engine, input, output)
    expect(engine.asked).toEqual(['b'])
  })
})

describe('an interrupted run', () => {
  test('what a report throws ends it, between results too', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    onTestFinished(() => void vi.useRealTimers())
    await writeInput(line('a'))
    const engine = new FakeEngine()
    engine.before = () => void vi.advanceTimersToNextTimer()
    const onProgress = () => {
      throw new Error('no more')
    }
    await expect(runBatch(engine, input, output, { onProgress })).rejects.toThrow('no more')
    expect(await results()).toEqual([])
  })

  test('keeps what is finished and rejects with the reason of the signal', async () => {
    await writeInput(...ids(20).map((id) => line(id)))
    const engine = new FakeEngine()
    const stop = new AbortController()
    engine.before = (prompt) => {
      if (prompt === 'r9') stop.abort(new Error('enough'))
    }
    await expect(runBatch(engine, input, output, { signal: stop.signal })).rejects.toThrow('enough')
    const finished = (await results()).map(({ custom_id: id }) => id)
    expect(finished.length).toBeGreaterThan(0)
    expect(finished.length).toBeLessThan(20)
    expect(engine.running).toBe(0)

    await runBatch(new FakeEngine(), input, output)
    expect((await results()).map(({ custom_id: id }) => id).sort()).toEqual(ids(20).sort())
  })

  test('a dead engine ends the run; its request is not lost', async () => {
    await writeInput(...ids(5).map((id) => line(id)))
    const engine = new FakeEngine()
    engine.before = (prompt) => {
      if (prompt === 'r2') throw new EngineError('engine_dead', 'the engine is dead: fire')
    }
    await expect(runBatch(engine, input, output)).rejects.toThrow('the engine is dead: fire')
    expect((await results()).map(({ custom_id: id }) => id)).not.toContain('r2')
  })

  test('any other failure of a request is its own', async () => {
    await writeInput(...ids(3).map((id) => line(id)))
    const engine = new FakeEngine()
    engine.before = (prompt) => {
      if (prompt === 'r1') throw new Error('odd')
    }
    expect(await runBatch(engine, input, output)).toMatchObject({ finished: 3, failed: 1 })
    const odd = (await results()).find(({ custom_id: id }) => id === 'r1')
    expect(odd?.response).toMatchObject({ status_code: 500, body: { error: { message: 'odd' } } })
  })
})
