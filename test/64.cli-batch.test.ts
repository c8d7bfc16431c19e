import { once } from 'node:events'
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { BatchDisplay } from '../lib/cli/batch-display.js'
import type { BatchResult } from '../lib/openai/batch-output.js'
import { temporaryFolder } from './support/files.js'
import { octavo, startOctavo } from './support/octavo.js'
import { stderrOf } from './support/terminal.js'

let folder: string
let input: string
let output: string

beforeEach(() => {
  folder = temporaryFolder()
  input = join(folder, 'in.jsonl')
  output = join(folder, 'out.jsonl')
})

const REQUESTS = 48
const ids = Array.from({ length: REQUESTS }, (_, i) => `story-${i}`)

/** Requests that take a while, each with a seed of its own. */
async function writeRequests(): Promise<void> {
  const lines = ids.map((id, seed) => {
    const body = { prompt: 'Once upon a time', max_tokens: 96, ignore_eos: true, seed }
    return JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/completions', body })
  })
  await writeFile(input, lines.join('\n'))
}

const args = (out = output) => ['batch', input, out, '--max-num-seqs', '4']

async function read(path: string): Promise<BatchResult[]> {
  const text = await readFile(path, 'utf8')
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as BatchResult)
}

/** Text by custom id; fails if one is there twice. */
async function textsOf(path: string): Promise<Map<string, string>> {
  const results = await read(path)
  const texts = results.map(({ custom_id: id, response }) => {
    const { choices } = response!.body as { choices: { text: string }[] }
    return [id!, choices[0]!.text] as const
  })
  expect(new Set(texts.map(([id]) => id)).size).toBe(texts.length)
  return new Map(texts)
}

/** Starts a batch, ends it by a signal once some results are written, gives its exit. */
async function interrupt(signal: NodeJS.Signals) {
  const child = startOctavo(args())
  let stderr = ''
  child.stderr!.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  while ((await sizeOf(output)) < 1500) await sleep(5)
  child.kill(signal)
  const [code, endedBy] = await exited
  return { code, endedBy, stderr }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  )
}

describe('octavo batch', () => {
  test('a run that is killed at any moment is resumed: nothing is lost, repeated or changed', async () => {
    await writeRequests()
    const { endedBy } = await interrupt('SIGKILL')
    expect(endedBy).toBe('SIGKILL')
    const left = await readFile(output, 'utf8')
    const whole = left.slice(0, left.lastIndexOf('\n') + 1)
    const finished = whole.split('\n').length - 1
    expect(finished).toBeGreaterThan(0)
    expect(finished).toBeLessThan(REQUESTS)
    await appendFile(output, whole.slice(0, 200)) // as if it had been killed while writing

    const { status, stderr } = octavo(args())
    expect(status).toBe(0)
    expect(stderr).toContain(
      `${REQUESTS} results in ${output}, ${finished} of them by an earlier run`,
    )
    expect((await readFile(output, 'utf8')).startsWith(whole)).toBe(true)
    const texts = await textsOf(output)
    expect([...texts.keys()].sort()).toEqual([...ids].sort())

    const undisturbed = join(folder, 'undisturbed.jsonl')
    octavo(args(undisturbed))
    expect(texts).toEqual(await textsOf(undisturbed))
  })

  test.skipIf(process.platform === 'win32')('SIGINT ends it in order, with a hint', async () => {
    await writeRequests()
    const { code, stderr } = await interrupt('SIGINT')
    expect(stderr).toContain('octavo: interrupted; run the same command again to go on\n')
    expect(code).toBe(130)
    const finished = await read(output)
    expect(finished.length).toBeGreaterThan(0)
    expect(finished.length).toBeLessThan(REQUESTS)
    octavo(args())
    expect((await textsOf(output)).size).toBe(REQUESTS)
  })

  test('bad lines and refused requests are results with an error', async () => {
    const line = (id: string, body: object) =>
      JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions', body })
    const messages = [{ role: 'user', content: 'What is the capital of France?' }]
    await writeFile(
      input,
      [
        line('good', { messages, temperature: 0 }),
        'no JSON',
        line('hot', { messages, temperature: -1 }),
        line('empty', { messages: [] }),
        line('other', { messages, model: 'gpt' }),
      ].join('\r\n'),
    )
    const { status, stderr } = octavo(args())
    expect(status).toBe(0)
    expect(stderr).toMatch(/5 results in .* · 4 errors, see their lines\n$/)
    const results = new Map((await read(output)).map((result) => [result.id, result]))
    const body = (line: number) => results.get(`batch_req_${line}`)?.response?.body
    expect(body(1)).toMatchObject({
      model: 'demo',
      choices: [{ message: { content: 'The capital of France is Paris.' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 15, completion_tokens: 8, total_tokens: 23 },
    })
    expect(results.get('batch_req_2')).toMatchObject({
      custom_id: null,
      response: null,
      error: { code: 'invalid_json_line' },
    })
    const message = 'temperature: expected a number of at least 0, found -1'
    expect(body(3)).toMatchObject({ error: { param: 'temperature', message } })
    expect(body(4)).toMatchObject({
      error: {
        message: 'messages: expected an array of at least one message, found an empty array',
      },
    })
    expect(body(5)).toMatchObject({
      error: { message: 'model: expected "demo" or none, found "gpt"' },
    })

    const renamed = join(folder, 'renamed.jsonl')
    octavo([...args(renamed), '--served-model-name', 'gpt'])
    expect((await read(renamed)).find(({ custom_id: id }) => id === 'other')).toMatchObject({
      response: { status_code: 200, body: { model: 'gpt' } },
    })
  })

  test('another file is not written to', async () => {
    await writeRequests()
    await writeFile(output, 'my notes\n')
    const { status, stderr } = octavo(args())
    expect(stderr).toContain(
      `octavo: ${output}: line 1 is no result of a batch; name a new file, or remove this one\n`,
    )
    expect(status).toBe(1)
    expect(await readFile(output, 'utf8')).toBe('my notes\n')
  })
})

describe('its progress', () => {
  const progress = {
    total: 1000,
    finished: 250,
    skipped: 50,
    failed: 0,
    seconds: 20,
    generatedTokens: 24_680,
    tokensPerSecond: 1234,
    cacheUsage: 0.375,
    secondsLeft: 75,
  }
  const show = (...all: (typeof progress)[]) => {
    const display = new BatchDisplay()
    for (const each of all) display.show(each)
    display.stop()
  }

  test('is a bar on a terminal', async () => {
    const shown = await stderrOf(() => show(progress), { isTTY: true })
    expect(shown).toContain(
      '██████░░░░░░░░░░░░░░░░░░ 25 % · 250 of 1000 · 1,234 tokens/s · cache 38 % · 1 min 15 s left',
    )
  })

  test('is a line each ten seconds elsewhere', async () => {
    const at = (seconds: number) => ({ ...progress, seconds, finished: seconds * 10 })
    const shown = await stderrOf(() => show(at(1), at(10), at(11), at(19), at(21)), {
      isTTY: false,
    })
    expect(shown.split('\n').map((line) => line.split(' · ')[0])).toEqual([
      '100 of 1000',
      '210 of 1000',
      '',
    ])
  })
})
