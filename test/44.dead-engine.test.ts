import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Addon } from '../lib/native/addon-types.js'
import { attempt, root, succeed } from './support/commands.js'
import { Events, packToy, toyEngine, toyPlan } from './support/toy.js'

/** Objects of the addon that binding.gyp built; linked here with a backend that fails when it is told. */
const OBJECTS = join(root, 'build/Release/obj.target/octavo/csrc')
const COMPILER = process.env.CXX ?? 'c++'
const possible = existsSync(OBJECTS) && attempt(COMPILER, ['--version']).status === 0

describe.skipIf(!possible)('an engine whose device fails', { timeout: 60_000 }, () => {
  let folder: string
  let addon: Addon

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'octavo-faulty-'))
    const file = join(folder, 'faulty.node')
    const objects = readdirSync(OBJECTS, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.o') && !path.startsWith('cpu'))
      .map((path) => join(OBJECTS, path))
    const backend = join(root, 'test/native/faulty_backend.cc')
    const undefinedSymbols = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : []
    const flags = ['-std=c++17', '-fPIC', '-shared', `-I${join(root, 'csrc')}`, ...undefinedSymbols]
    succeed(COMPILER, [...flags, backend, ...objects, '-o', file])
    addon = createRequire(import.meta.url)(file) as Addon
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  const step = (token: number) => packToy({ sequences: [{ tokens: [token], blocks: [1] }] })
  const message = 'embed "model.embed_tokens": the device is lost'

  async function loaded() {
    const events = new Events()
    const engine = toyEngine(addon, events)
    await engine.load(toyPlan(), { seed: 1 })
    return { engine, events }
  }

  it('is dead once, and says which op failed', async () => {
    const { engine, events } = await loaded()
    engine.submit(...step(1))
    engine.submit(...step(15)) // takes a while, so that all of these are submitted before it fails
    engine.submit(...step(13))
    engine.submit(...step(1))
    const copy = engine.copy(Int32Array.of(0, 0, 1, 0, 2))
    await expect(copy).rejects.toThrow(`the engine is dead: ${message}`)
    await events.until(4)
    expect(events.deaths).toEqual([message])
    expect(engine.counters()).toEqual({ submits: 4, callbacks: 2 })
    expect(() => engine.submit(...step(1))).toThrow(`the engine is dead: ${message}`)
    await expect(engine.copy(new Int32Array(0))).rejects.toThrow('the engine is dead')
    await expect(engine.load(toyPlan(), { seed: 1 })).rejects.toThrow('the engine is dead')
    await engine.dispose()
    expect(events.deaths).toEqual([message])
  })

  it('leaves other engines alone', async () => {
    const dead = await loaded()
    const alive = await loaded()
    dead.engine.submit(...step(14)) // throws what is no std::exception
    await dead.events.until(1)
    expect(dead.events.deaths).toEqual(['unknown failure'])
    alive.engine.submit(...step(1))
    await alive.events.until(1)
    expect(alive.events.deaths).toEqual([])
    await Promise.all([dead.engine.dispose(), alive.engine.dispose()])
  })

  it('answers the copy that killed it', async () => {
    const { engine, events } = await loaded()
    await expect(engine.copy(Int32Array.of(0, 0, 13, 0, 2))).rejects.toThrow('copy engine is lost')
    await events.until(1)
    expect(events.deaths).toEqual(['the copy engine is lost'])
    await engine.dispose()
  })
})
