import { mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { Feed } from '../lib/server/dashboard/feed.js'
import { createHandler, toNodeListener } from '../lib/server/index.js'
import { CHROMIUM, openBrowser } from './support/browser.js'
import { root } from './support/commands.js'

/** Where the pictures go, to be looked at. */
const PICTURES = join(root, 'build/dashboard')
const long = { maxTokens: 400, ignoreEos: true, temperature: 0.9 }

let engine: LLMEngine
beforeAll(async () => {
  engine = await LLMEngine.load('demo', { log: false, maxModelLen: 512, numGpuBlocksOverride: 400 })
})
afterAll(() => engine.close())

describe('a snapshot', () => {
  it('names the owner of every block, and counts who shares it', async () => {
    const stop = new AbortController()
    const { signal } = stop
    const running = engine.generate('Once upon a time, '.repeat(8), { ...long, n: 3 }, { signal })
    const ended = expect(running).rejects.toThrow('seen')
    await untilTrue(() => (engine.snapshot().requests[0]?.generatedTokens ?? 0) > 30)
    const { blocks, requests, stats } = engine.snapshot()
    const [view] = requests
    expect(view).toMatchObject({ state: 'running', promptTokens: expect.any(Number) as number })
    expect(view!.text.length).toBeGreaterThan(0)
    const owned = [...blocks.owners].filter((owner) => owner === view!.number).length
    expect(owned).toBe(stats.usedBlocks)
    expect([...blocks.counts].filter((count) => count > 0)).toHaveLength(stats.usedBlocks)
    expect(Math.max(...blocks.counts)).toBe(3)
    expect(blocks.owners[0]).toBe(-1)
    stop.abort(new Error('seen'))
    await ended
    expect([...engine.snapshot().blocks.owners].every((owner) => owner === -1)).toBe(true)
  })

  it('tells cached blocks from free ones', async () => {
    engine.resetPrefixCache()
    await engine.generate('The cat sat on the mat and '.repeat(6), { maxTokens: 1 })
    const { blocks, stats } = engine.snapshot()
    expect([...blocks.counts].filter((count) => count === -1)).toHaveLength(stats.cachedBlocks)
    expect(stats.cachedBlocks).toBeGreaterThan(0)
  })
})

describe('a feed', () => {
  it('tells each change once, and the waits for tokens', async () => {
    engine.resetPrefixCache()
    const feed = new Feed(engine)
    expect(feed.greeting()).toMatchObject({ model: 'demo', blocks: 400, blockSize: 16 })
    expect(feed.frame().cells).toEqual([])
    await engine.generate('A long prompt of several blocks, which stays. '.repeat(4), {
      ...{ maxTokens: 4, ignoreEos: true },
    })
    const { cells, latency, stats } = feed.frame()
    expect(cells.map(([, owner, count]) => [owner, count])).toEqual(cells.map(() => [-1, -1]))
    expect(cells).toHaveLength(stats.cachedBlocks)
    expect(latency.firstToken.count).toBe(1)
    expect(latency.nextToken.count).toBe(3)
    expect(feed.frame().cells).toEqual([])
    feed.close()
  })
})

describe('its routes', () => {
  it('need a key for what they show, and are off by option', async () => {
    const ask = (handler: ReturnType<typeof createHandler>, path: string) =>
      handler(new Request(`http://localhost${path}`))
    const guarded = createHandler(engine, { apiKeys: ['secret'] })
    const page = await ask(guarded, '/dashboard')
    expect([page.status, page.headers.get('content-type')]).toEqual([
      200,
      'text/html; charset=utf-8',
    ])
    expect(await page.text()).not.toMatch(/(?:src|href)="(?!data:)/)
    expect((await ask(guarded, '/dashboard/events')).status).toBe(401)
    const off = createHandler(engine, { dashboard: false })
    expect((await ask(off, '/dashboard')).status).toBe(404)
    expect((await ask(off, '/dashboard/events')).status).toBe(404)
  })
})

describe.skipIf(CHROMIUM === null)('in a browser (needs Chromium)', () => {
  let server: Server
  let browser: Browser
  let page: Page
  const faults: string[] = []

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true })
    server = createServer(toNodeListener(createHandler(engine, { servedModelNames: ['small'] })))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    browser = await openBrowser()
    page = await browser.newPage({ viewport: { width: 1240, height: 980 } })
    page.on('pageerror', ({ message }) => faults.push(message))
    page.on('request', (request) => {
      const { port } = server.address() as AddressInfo
      if (!request.url().startsWith(`http://127.0.0.1:${port}/`)) faults.push(request.url())
    })
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    await page.goto(address)
    expect(page.url()).toBe(`${address}/dashboard`)
  })
  afterAll(async () => {
    await browser.close()
    server.closeAllConnections()
    server.close()
  })

  const number = async (id: string) => Number((await page.textContent(`#${id}`))!.replace(',', ''))
  const picture = (name: string) => page.screenshot({ path: join(PICTURES, `${name}.png`) })

  it('shows the numbers of a run, and its blocks and texts', async () => {
    const stop = new AbortController()
    const { signal } = stop
    const story = 'Once upon a time there was a girl who lived in the woods with a dog. '.repeat(2)
    const prompts = Array.from({ length: 6 }, (_, i) => `${story} Number ${i}`)
    const work = Array.from({ length: 60 }, () => prompts).flat()
    const running = expect(engine.generate(work, long, { signal })).rejects.toThrow('seen')
    await page.waitForFunction(`document.querySelectorAll('#requests li').length >= 6`)
    await page.waitForFunction(`Number(document.querySelector('#itl').textContent) > 0`)
    expect(await number('running')).toBeGreaterThan(0)
    expect(await number('cache')).toBeGreaterThan(0)
    expect(await number('tokens')).toBeGreaterThan(0)
    expect(await number('hits')).toBeGreaterThan(0)
    expect(await page.textContent('#status')).toBe('live')
    expect(await page.textContent('#requests bdi')).not.toBe('')
    expect(await page.textContent('#block-summary')).toMatch(/^[\d,]+ used · [1-9]\d* shared/)
    const points = `document.querySelector('polyline').getAttribute('points').split(' ').length`
    await page.waitForFunction(`${points} >= 8`)
    await picture('light')
    await page.emulateMedia({ colorScheme: 'dark' })
    await picture('dark')
    await page.setViewportSize({ width: 390, height: 844 })
    await picture('phone')
    const width = await page.evaluate(`document.documentElement.scrollWidth`)
    expect(width).toBe(390)
    stop.abort(new Error('seen'))
    await running
    await page.waitForFunction(`document.querySelector('#running').textContent === '0'`)
    expect(await page.isVisible('#no-requests')).toBe(true)
  })

  it('chats', async () => {
    await page.emulateMedia({ colorScheme: 'light' })
    await page.setViewportSize({ width: 1000, height: 760 })
    await page.click('#tab-playground')
    await page.fill('#max-tokens', '24')
    await page.fill('#message', 'What does a cat say?')
    await page.press('#message', 'Enter')
    await page.waitForSelector('.turn .meta')
    expect(await page.textContent('.turn.user')).toBe('What does a cat say?')
    expect((await page.textContent('.turn.assistant'))!.length).toBeGreaterThan(20)
    await picture('playground')
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.setViewportSize({ width: 390, height: 844 })
    await picture('playground-phone')
    expect(await page.evaluate(`document.documentElement.scrollWidth`)).toBe(390)
    await page.click('#clear')
    expect(await page.isVisible('#turns .empty')).toBe(true)
    expect(faults).toEqual([])
  })
})

async function untilTrue(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}
