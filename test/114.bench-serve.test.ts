import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runLoad, type LoadOptions } from '../lib/bench/load.js'
import { distributionOf, reportOf } from '../lib/bench/report.js'
import { planWorkload } from '../lib/bench/workload.js'
import { LLMEngine } from '../lib/index.js'
import { createHandler, toNodeListener } from '../lib/server/index.js'
import { startOctavo } from './support/octavo.js'

const shape = {
  count: 400,
  rate: 10,
  seed: 1,
  promptWords: 40,
  outputTokens: 30,
  sharedWords: 0,
  spread: 1,
}

describe('a load', () => {
  it('is the same for a seed, and comes at its rate with its lengths', () => {
    const load = planWorkload(shape)
    expect(planWorkload(shape)).toEqual(load)
    expect(planWorkload({ ...shape, seed: 2 })).not.toEqual(load)
    expect(load.length / load.at(-1)!.at).toBeGreaterThan(8.5)
    expect(load.length / load.at(-1)!.at).toBeLessThan(11.5)
    const mean = load.reduce((sum, { maxTokens }) => sum + maxTokens, 0) / load.length
    expect(mean).toBeGreaterThan(24)
    expect(mean).toBeLessThan(36)
    expect(planWorkload({ ...shape, rate: Infinity }).every(({ at }) => at === 0)).toBe(true)
    const alike = planWorkload({ ...shape, spread: 0, sharedWords: 5 })
    expect(new Set(alike.map(({ prompt }) => prompt.split(' ').slice(0, 5).join(' '))).size).toBe(1)
    expect(new Set(alike.map(({ maxTokens }) => maxTokens))).toEqual(new Set([30]))
  })

  it('is summed up by ranks', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i)
    expect(distributionOf(values)).toEqual({ mean: 50.5, p50: 50, p90: 90, p99: 99 })
    expect(distributionOf([])).toEqual({ mean: 0, p50: 0, p90: 0, p99: 0 })
    const good = {
      error: null,
      promptTokens: 3,
      outputTokens: 3,
      total: 30,
      firstToken: 10,
      gaps: [10, 10],
    }
    const slow = { ...good, firstToken: 500, total: 900 }
    const failed = { ...good, error: 'status 500' }
    expect(reportOf([good, slow, failed], 2, { ttft: 100, tpot: 20 })).toMatchObject({
      ...{ completed: 2, failed: 1, outputTokens: 6, outputTokensPerSecond: 3, goodput: 0.5 },
      ...{ tpot: { p50: 10, p99: 200 }, errors: ['status 500'] },
    })
  })
})

describe('against a server', () => {
  let engine: LLMEngine
  let server: Server
  let url: string
  beforeAll(async () => {
    engine = await LLMEngine.load('demo', { log: false })
    server = createServer(toNodeListener(createHandler(engine)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(async () => {
    server.closeAllConnections()
    server.close()
    await engine.close()
  })

  const options = (): LoadOptions => ({
    ...{ ...shape, count: 20, rate: Infinity, spread: 0, outputTokens: 8 },
    ...{ target: { url, model: 'demo', apiKey: null }, concurrency: 5, goals: { ttft: 60_000 } },
  })

  it('counts every token, and keeps to its concurrency', async () => {
    const report = await runLoad(options())
    expect(report).toMatchObject({ completed: 20, failed: 0, outputTokens: 160, errors: [] })
    expect(report.goodput).toBeCloseTo(report.requestsPerSecond)
    expect(report.ttft.p50).toBeGreaterThan(0)
    expect(report.e2el.p50).toBeGreaterThanOrEqual(report.ttft.p50)
    expect(engine.stats().usedBlocks).toBe(0)
  })

  it('reports failures as such', async () => {
    const target = { url, model: 'other', apiKey: null }
    const report = await runLoad({ ...options(), target, count: 2 })
    expect(report).toMatchObject({ completed: 0, failed: 2, outputTokens: 0 })
    expect(report.errors[0]).toMatch(/^status 4\d\d: /)
  })

  it('names a server that cannot be reached, and why', async () => {
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const { port } = gone.address() as AddressInfo
    await new Promise((resolve) => gone.close(resolve))
    const target = { url: `http://127.0.0.1:${port}`, model: 'demo', apiKey: null }
    const reason = `fetch failed: connect ECONNREFUSED 127.0.0.1:${port}`
    expect((await runLoad({ ...options(), target, count: 1 })).errors).toEqual([reason])
    const command = startOctavo(['bench', 'serve', '--url', target.url])
    let stderr = ''
    command.stderr!.on('data', (chunk) => (stderr += String(chunk)))
    expect(await once(command, 'close')).toEqual([1, null])
    expect(stderr).toBe(`octavo: ${target.url}/v1/models: ${reason}\n`)
  })

  it('is a command that prints a table, JSON and a picture', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'octavo-bench-'))
    const [json, plot] = [join(folder, 'load.json'), join(folder, 'load.svg')]
    const flags = [
      '--num-prompts',
      '6',
      '--output-tokens',
      '4',
      '--spread',
      '0',
      '--json',
      json,
      '--plot',
      plot,
    ]
    const command = startOctavo(['bench', 'serve', '--url', url, ...flags])
    let stdout = ''
    command.stdout!.on('data', (chunk) => (stdout += String(chunk)))
    expect(await once(command, 'exit')).toEqual([0, null])
    expect(stdout).toMatch(/^6 answered, 0 failed in .* requests\/s/)
    expect(stdout).toMatch(/^TTFT( +[\d.]+){4}$/m)
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({
      ...{ url, model: 'demo', load: { count: 6, rate: null, spread: 0, seed: 0 } },
      ...{ completed: 6, outputTokens: 24 },
    })
    expect(readFileSync(plot, 'utf8')).toMatch(/^<svg .*demo, 6 requests.*<\/svg>\n$/s)
    rmSync(folder, { recursive: true })
  })
})
