import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Queue, QueueEvents } from 'bullmq'
import { expect, test } from 'vitest'
import { adapterFolder, pair } from './support/adapters.js'
import { root, succeed } from './support/commands.js'
import { temporaryFolder } from './support/files.js'
import { normalNumbers } from './support/made-numbers.js'
import { HAS_REDIS, TestRedis } from './support/redis.js'

const fox = 'Once upon a time, there was a curious boy named Finn.'

/** What each example prints. */
const EXPECTED: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  'quickstart.mjs': [
    'model demo · cpu',
    /^Once upon a time.{40}/m,
    /^The capital of France is Paris\.$/m,
    /^\d+ tokens · \d+ tokens\/s$/m,
    /^Together \d+ tokens in [\d.]+ s and \d+ steps: \d+ tokens\/s$/m,
    /^Cache use: at most \d+ blocks of 16 tokens, [\d.]+ % of \d+$/m,
  ],
  'quickstart.cjs': [/^The capital of France is Paris\.$/m],
  'streaming.mjs': [fox, '(finished: stop)'],
  'chat.mjs': [
    'model: The capital of France is Paris.',
    'model: In Spanish you say Hola.',
    '(16 of 40 prompt tokens cached)',
  ],
  'parallel-sampling.mjs': [/^3\. One sunny day/m, 'prompt tokens computed: 6, for 3 outputs'],
  'abort.mjs': [
    'generate: TimeoutError',
    /^stream: left after ".+"$/m,
    'step: abort after 5 tokens',
    'blocks in use: 0',
  ],
  'step-api.mjs': [
    'step 1: story 1 tokens, fact 1 tokens',
    'fact stop',
    'The capital of Egypt is Cairo.',
    'step 12: story length',
  ],
  'ai-sdk.mjs': [/cat/],
  'tools.mjs': ['The capital of France is Paris.'],
  'openai-in-process.mjs': ['The capital of France is Paris.'],
  'embeddings.mjs': [
    /^The dog is hungry\. 0\.\d\d$/m,
    /^What is the capital of France\? 0\.\d\d$/m,
  ],
  'logprobs.mjs': [/^" blue" +\d/m, /^log-probability of the whole: -\d/m],
}

const fileOf = (name: string) => join(root, 'examples', name)
const env = { ...process.env, NO_COLOR: '1' }

test('every example is expected something of', () => {
  const tested = [...Object.keys(EXPECTED), 'batch.mjs', 'lora.mjs', 'worker.mjs']
  const there = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('js'))
  expect(there.sort()).toEqual(tested.sort())
})

test.each(['ai-sdk.mjs', 'batch.mjs', 'embeddings.mjs', 'worker.mjs'])(
  '%s has fewer than ten lines',
  (name) => {
    const lines = readFileSync(fileOf(name), 'utf8').split('\n')
    expect(lines.filter((line) => line.trim() !== '').length).toBeLessThan(10)
  },
)

test.each(Object.keys(EXPECTED))('%s', (name) => {
  const stdout = succeed(process.execPath, [fileOf(name)], { env })
  for (const expected of EXPECTED[name]!) {
    if (typeof expected === 'string') expect(stdout).toContain(expected)
    else expect(stdout).toMatch(expected)
  }
})

test('lora.mjs', () => {
  const matrices = Object.entries(pair('model.layers.0.mlp.down_proj', [384, 128]))
  const made = matrices.map(([name, { dtype, shape }], seed) => {
    const numbers = normalNumbers(shape[0]! * shape[1]!, { seed })
    return [name, { dtype, shape, bytes: new Uint8Array(numbers.buffer) }] as const
  })
  const adapter = adapterFolder({}, Object.fromEntries(made))
  const stdout = succeed(process.execPath, [fileOf('lora.mjs'), 'demo', adapter], { env })
  expect(stdout).toContain(`without: ${fox}`)
  expect(stdout).toContain(`${adapter}: Once upon a time`)
  expect(stdout).not.toContain(`${adapter}: ${fox}`)
})

test('batch.mjs', () => {
  const cwd = temporaryFolder()
  const run = () => succeed(process.execPath, [fileOf('batch.mjs')], { env, cwd })
  expect(run()).toBe('5 of 5 requests answered in results.jsonl\n')
  const results = readFileSync(join(cwd, 'results.jsonl'), 'utf8')
  expect(results).toContain('The capital of Japan is Tokyo.')
  run()
  expect(readFileSync(join(cwd, 'results.jsonl'), 'utf8')).toBe(results)
})

test.skipIf(!HAS_REDIS)('worker.mjs (needs redis-server)', async () => {
  const redis = await TestRedis.start()
  const worker = spawn(process.execPath, [fileOf('worker.mjs')], {
    env: { ...env, REDIS_URL: redis.url },
  })
  const queue = new Queue('octavo', { connection: { url: redis.url } })
  const events = new QueueEvents('octavo', { connection: { url: redis.url } })
  await events.waitUntilReady()
  const job = await queue.add('story', { url: '/v1/completions', body: { prompt: 'Once' } })
  expect(await job.waitUntilFinished(events)).toMatchObject({ object: 'text_completion' })
  worker.kill('SIGTERM')
  expect(await once(worker, 'exit')).toEqual([0, null])
  await Promise.all([events.close(), queue.close()])
  redis.stop()
})
