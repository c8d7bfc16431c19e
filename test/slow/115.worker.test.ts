import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Queue, QueueEvents } from 'bullmq'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine } from '../../lib/index.js'
import { startWorker } from '../../lib/worker/index.js'
import { startOctavo } from '../support/octavo.js'
import { HAS_REDIS, TestRedis } from '../support/redis.js'

const LOCK = '1000'

describe.skipIf(!HAS_REDIS)('a worker (needs redis-server)', () => {
  let redis: TestRedis
  let queue: Queue
  let events: QueueEvents
  let name = 0

  beforeAll(async () => {
    redis = await TestRedis.start()
  })
  afterAll(() => redis.stop())

  const connection = () => ({ url: redis.url })
  const open = () => {
    queue = new Queue(`jobs-${name++}`, { connection: connection() })
    events = new QueueEvents(queue.name, { connection: connection() })
    return events.waitUntilReady()
  }
  const close = () => Promise.all([events.close(), queue.close()])

  const start = async (): Promise<ChildProcess> => {
    const flags = ['--redis', redis.url, '--queue', queue.name, '--lock-duration', LOCK]
    const worker = startOctavo(['worker', ...flags, '--concurrency', '4', '--max-num-seqs', '4'])
    for await (const chunk of worker.stderr!) if (String(chunk).includes('is ready')) break
    worker.stderr!.resume()
    return worker
  }

  it('loses no job and stores no answer twice when another is killed', async () => {
    await open()
    const body = (i: number) => ({
      prompt: `Story ${i}:`,
      max_tokens: 60,
      seed: i,
      ignore_eos: true,
    })
    const jobs = Array.from({ length: 200 }, (_, i) => ({
      name: 'story',
      data: { url: '/v1/completions', body: body(i) },
      opts: { jobId: `story-${i}` },
    }))
    const completed = new Map<string, number>()
    const killed = await start()
    const other = await start()
    const half = new Promise<void>((resolve) => {
      events.on('completed', ({ jobId }) => {
        completed.set(jobId, (completed.get(jobId) ?? 0) + 1)
        if (completed.size === 100) resolve()
      })
    })
    await queue.addBulk(jobs)
    await half
    killed.kill('SIGKILL')
    while (completed.size < 200) await new Promise((resolve) => setTimeout(resolve, 50))
    expect([...completed.values()].every((count) => count === 1)).toBe(true)
    const counts = await queue.getJobCounts('completed', 'failed', 'active', 'waiting', 'delayed')
    expect(counts).toEqual({ completed: 200, failed: 0, active: 0, waiting: 0, delayed: 0 })
    const done = await queue.getCompleted(0, -1)
    const texts = done.map(
      ({ returnvalue }) => (returnvalue as { choices: { text: string }[] }).choices,
    )
    expect(texts.every(([choice]) => choice!.text.length > 0)).toBe(true)
    other.kill('SIGTERM')
    expect(await once(other, 'exit')).toEqual([0, null])
    await close()
  })

  it('reports progress, answers several requests, and fails what is refused at once', async () => {
    await open()
    const engine = await LLMEngine.load('demo', { log: false })
    const worker = await startWorker(engine, { redis: redis.url, queue: queue.name })
    const progress: unknown[] = []
    events.on('progress', ({ data }) => progress.push(data))
    const request = {
      url: '/v1/chat/completions',
      body: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 },
    }
    const many = await queue.add('many', { requests: [request, request] })
    const answers = (await many.waitUntilFinished(events)) as { object: string }[]
    expect(answers.map(({ object }) => object)).toEqual(['chat.completion', 'chat.completion'])
    const wrong = await queue.add('wrong', { url: '/v1/other', body: {} }, { attempts: 3 })
    await expect(wrong.waitUntilFinished(events)).rejects.toThrow(/job.url: expected/)
    expect((await queue.getJob(wrong.id!))!.attemptsMade).toBe(1)
    expect(progress).toEqual([50, 100])
    await worker.close()
    await engine.close()
    await close()
  })
})
