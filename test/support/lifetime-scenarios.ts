/**
 * Programs that end an engine in every way. 42.lifetime.test.ts bundles this file and runs one of
 * them in a process of its own: `node scenarios.mjs NAME`. A step of the slow model takes much longer
 * than what is done meanwhile; each line that is printed is what the test expects to have happened.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parentPort, Worker, isMainThread, workerData } from 'node:worker_threads'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NativeEngine } from '../../lib/native/addon-types.js'
import { RESULT_INTS } from '../../lib/native/step.js'
import { Events, promptStep, requireAddon, toyEngine, toyPlan } from './toy.js'

const SLOW = { width: 256, layers: 3, limits: { tokens: 1024, sequences: 2, samples: 4 } }
const SLOW_TOKENS = 1024

const addon = requireAddon()

async function slowEngine(events = new Events()) {
  const engine = toyEngine(addon, events, { isa: 'portable', threads: 1, numBlocks: 70 })
  await engine.load(toyPlan(SLOW), { seed: 1 })
  return { engine, events }
}

function submitSlow(engine: NativeEngine, count: number): void {
  for (let id = 1; id <= count; id++) engine.submit(...promptStep(SLOW_TOKENS, id))
}

async function quickEngine(events = new Events()) {
  const engine = toyEngine(addon, events)
  await engine.load(toyPlan(), { seed: 1 })
  return { engine, events }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const scenarios: Record<string, () => Promise<void> | void> = {
  async 'idle at the end'() {
    await quickEngine()
    say('idle')
  },

  async 'busy at the end'() {
    const { engine } = await slowEngine(new Events(() => say('result')))
    submitSlow(engine, 1)
    say('submitted')
  },

  async 'exit while busy'() {
    const { engine } = await slowEngine()
    submitSlow(engine, 20)
    await sleep(20)
    say('exit')
    process.exit(3)
  },

  async 'exit in a callback'() {
    const { engine } = await quickEngine(new Events(() => process.exit(4)))
    for (let id = 0; id < 50; id++) engine.submit(...promptStep(8, id))
  },

  async 'throw while busy'() {
    const { engine } = await slowEngine()
    submitSlow(engine, 20)
    await sleep(20)
    throw new Error('thrown on purpose')
  },

  async 'throw in a callback'() {
    process.once('uncaughtException', (error) => say(`uncaught: ${error.message}`))
    const events = new Events(() => {
      if (events.results.length === 1) throw new Error('from onResult')
    })
    const { engine } = await quickEngine(events)
    engine.submit(...promptStep(8, 1))
    engine.submit(...promptStep(8, 2))
    await events.until(2)
    say('went on')
  },

  async 'dispose mid-step'() {
    const { engine, events } = await slowEngine()
    submitSlow(engine, 5)
    await events.until(1) // the second is running
    await engine.dispose()
    const { submits, callbacks } = engine.counters()
    const told = events.results.length
    say(
      `of ${submits} dropped some: ${callbacks < submits}, told all others: ${told === callbacks}`,
    )
    await sleep(20)
    say(`told more: ${events.results.length > told}`)
  },

  async 'dispose mid-load'() {
    const engine = toyEngine(addon, new Events())
    const load = engine.load(toyPlan({ width: 1024, layers: 12 }), { seed: 1 })
    const outcome = load.then(
      () => 'loaded',
      (error: unknown) => String(error),
    )
    await engine.dispose()
    say(await outcome)
  },

  async 'dispose with copies waiting'() {
    const { engine } = await slowEngine()
    submitSlow(engine, 3)
    const copy = engine.copy(Int32Array.of(0, 0, 1, 0, 2)).catch((error: unknown) => String(error))
    await engine.dispose()
    say(String(await copy))
  },

  async 'failed load'() {
    const engine = toyEngine(addon, new Events())
    await engine.load('not a plan', { seed: 1 }).catch((error: unknown) => say(String(error)))
  },

  async 'two engines at once'() {
    const engines = await Promise.all([quickEngine(), quickEngine(), slowEngine()])
    submitSlow(engines[2].engine, 2)
    for (let id = 0; id < 20; id++) {
      for (const { engine } of engines.slice(0, 2)) engine.submit(...promptStep(8, id))
    }
    await Promise.all([engines[0].events.until(20), engines[1].events.until(20)])
    const ids = (index: number) =>
      engines[index]!.events.results.map(({ ints }) => ints[RESULT_INTS]).join()
    say(`equal: ${ids(0) === ids(1)}`)
    await engines[0].engine.dispose()
    await engines[2].events.until(2)
    say('the others went on')
  },

  async 'collected without dispose'() {
    // The engine and its callbacks refer to each other, as an executor's do.
    const registry = new FinalizationRegistry((name) => say(`collected ${String(name)}`))
    const make = async () => {
      const events = new Events()
      const owner: { engine?: NativeEngine; seen: number } = { seen: 0 }
      owner.engine = toyEngine(addon, {
        onResult: (ints, floats) => {
          owner.seen++
          events.onResult(ints, floats)
        },
        onDead: () => owner.seen--,
      })
      await owner.engine.load(toyPlan(), { seed: 1 })
      owner.engine.submit(...promptStep(8))
      await events.until(1)
      registry.register(owner.engine, 'the engine')
    }
    await make()
    await collect()
  },

  async 'not collected while busy'() {
    const events = new Events()
    const start = async () => {
      const { engine } = await slowEngine(events)
      submitSlow(engine, 1)
    }
    await start()
    await collect(3)
    await events.until(1)
    say('result')
  },

  /** Linux only: there is no memory for the stacks of so many. */
  async 'too many threads'() {
    const limit = (bytes: string) =>
      execFileSync('prlimit', ['--pid', `${process.pid}`, `--as=${bytes}:`])
    const used =
      Number(/VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024
    limit(`${used + 2 ** 26}`)
    try {
      toyEngine(addon, new Events(), { threads: 256 })
    } catch (error) {
      say(String(error).replace(/process \d+: .*/, 'process …'))
    }
    limit('unlimited')
    await quickEngine()
    say('another is idle')
  },

  async 'worker that ends itself'() {
    say(await inWorker('idle at the end'))
  },

  async 'worker terminated mid-step'() {
    for (let round = 0; round < 3; round++) say(await inWorker('stream for ever', 'streaming'))
  },

  async 'workers side by side'() {
    const lines = await Promise.all([0, 1, 2].map(() => inWorker('exact result')))
    say(`equal: ${new Set(lines).size === 1}`)
  },

  /** For workers only. */
  async 'stream for ever'() {
    const events = new Events(() => {
      engine.submit(...promptStep(8))
      parentPort?.postMessage('streaming')
    })
    const { engine } = await quickEngine(events)
    const slow = await slowEngine()
    submitSlow(slow.engine, 4)
    for (let id = 0; id < 4; id++) engine.submit(...promptStep(8, id))
  },

  async 'exact result'() {
    const { engine, events } = await quickEngine()
    engine.submit(...promptStep(40))
    await events.until(1)
    parentPort?.postMessage(String(events.results[0]!.ints))
    await engine.dispose()
  },
}

/** Runs a scenario in a worker; with `until`, terminates it after it said so. */
async function inWorker(scenario: string, until?: string): Promise<string> {
  const worker = new Worker(new URL(import.meta.url), { workerData: scenario })
  const heard: string[] = []
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('message', (line: string) => {
      heard.push(line)
      if (line === until && heard.length === 30) void worker.terminate()
    })
    worker.on('exit', (code) => resolve(`${until ?? heard.join()}, exit code ${code}`))
  })
}

/** Collects garbage until finalizers of several turns have run. */
async function collect(rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    globalThis.gc?.()
    await sleep(5)
  }
}

const name = isMainThread ? process.argv[2] : (workerData as string)
const scenario = scenarios[name ?? '']
if (scenario === undefined) throw new Error(`no scenario '${String(name)}'`)
await scenario()
