import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ISAS } from '../lib/engine/config.js'
import { EngineError } from '../lib/errors.js'
import type { NativeEngine, NativeEngineOptions, NativeTensor } from '../lib/native/addon-types.js'
import { findAddon, loadAddon } from '../lib/native/addon.js'
import { readResult } from '../lib/native/native-executor.js'
import { RESULT_INTS } from '../lib/native/step.js'
import { root, succeed } from './support/commands.js'
import { Events, packToy, promptStep, TOY_VOCAB, toyEngine, toyPlan } from './support/toy.js'
import type { ToyStep } from './support/toy.js'

const addon = loadAddon()
const built = join(root, 'build/Release/octavo.node')
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-addon-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const engines: NativeEngine[] = []
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.dispose()))
})

/** An engine that the test's end disposes, with a loaded toy model. */
async function loadedEngine(options: Partial<NativeEngineOptions> = {}) {
  const events = new Events()
  const engine = newEngine(events, options)
  await engine.load(toyPlan(), { seed: 1 })
  return { engine, events }
}

function newEngine(events = new Events(), options: Partial<NativeEngineOptions> = {}) {
  const engine = toyEngine(addon, events, options)
  engines.push(engine)
  return engine
}

describe('finding the addon', () => {
  function failure(root: string, override?: string): EngineError {
    try {
      findAddon(root, override)
    } catch (error) {
      if (error instanceof EngineError) return error
      throw error
    }
    throw new Error('expected it to fail')
  }

  it('lists every place that was tried', () => {
    const empty = join(folder, 'empty')
    mkdirSync(empty)
    const { code, message } = failure(empty)
    expect(code).toBe('device_unavailable')
    expect(message).toContain(`no native addon for ${process.platform}-${process.arch} loads`)
    expect(message).toContain(join(empty, 'build-cuda/Release/octavo.node') + ': not there')
    expect(message).toContain(join(empty, 'build/Release/octavo.node') + ': not there')
    expect(message).toContain('package octavo-cuda: not there')
    expect(message).toContain(join(empty, 'prebuilds') + ': No native build was found')
    expect(message).toMatch(/npm rebuild octavo.*npm install-scripts approve octavo.*npm run build/)
  })

  it('takes nothing but OCTAVO_ADDON where that is set', () => {
    const missing = join(folder, 'missing.node')
    const { message } = failure(root, missing)
    expect(message).toContain(`OCTAVO_ADDON (${missing}): Cannot find module`)
    expect(message).not.toContain('build/Release')
    expect(findAddon(folder, built).stepFormatVersion).toBe(addon.stepFormatVersion)
  })

  it('refuses an addon of another step format', () => {
    const other = join(folder, 'other.cjs')
    writeFileSync(other, 'module.exports = { stepFormatVersion: 99 }')
    expect(failure(root, other).message).toMatch(/reads step format 99, this version .* writes 5/)
  })

  it('goes on to the prebuild where a build does not load', () => {
    const package_ = join(folder, 'package')
    const tuple = join(package_, 'prebuilds', `${process.platform}-${process.arch}`)
    mkdirSync(join(package_, 'build-cuda/Release'), { recursive: true })
    mkdirSync(tuple, { recursive: true })
    writeFileSync(join(package_, 'build-cuda/Release/octavo.node'), 'not a library')
    copyFileSync(built, join(tuple, 'octavo.node'))
    expect(findAddon(package_).stepFormatVersion).toBe(addon.stepFormatVersion)
  })
})

describe('what the machine offers', () => {
  it('lists instruction sets, portable last', () => {
    expect(addon.instructionSets.at(-1)).toBe('portable')
    expect(new Set(addon.instructionSets).size).toBe(addon.instructionSets.length)
  })

  const flags: Record<string, readonly string[]> = {
    avx512_bf16: ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni', 'avx512_bf16'],
    avx512: ['avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni'],
    avx_vnni: ['avx2', 'fma', 'f16c', 'avx_vnni'],
    avx2: ['avx2', 'fma', 'f16c'],
    neon_i8mm: ['asimd', 'asimddp', 'i8mm'],
    neon_dotprod: ['asimd', 'asimddp'],
    neon: ['asimd'],
    portable: [],
  }
  it('knows what each instruction set needs', () => {
    expect(['auto', ...Object.keys(flags)]).toEqual(ISAS)
  })
  it.for(Object.entries(flags))('finds %s where Linux does', ([isa, needed], { skip }) => {
    skip(process.platform !== 'linux', 'only Linux lists what a CPU has')
    const found = new Set(readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/))
    const lacking = needed.filter((flag) => !found.has(flag))
    // Compilers older than GCC 11 and clang 12 do not know all of them, and leave them out.
    expect(addon.instructionSets.includes(isa)).toBe(lacking.length === 0)
    skip(
      lacking.length > 0,
      `its kernels are not tested here: this CPU lacks ${lacking.join(', ')}`,
    )
  })

  it('counts CPUs and bytes within those of the machine', () => {
    expect(addon.availableCpus()).toBeGreaterThanOrEqual(1)
    expect(addon.availableCpus()).toBeLessThanOrEqual(availableParallelism())
    expect(addon.availableMemory()).toBeGreaterThan(2 ** 20)
    expect(addon.availableMemory()).toBeLessThanOrEqual(totalmem())
  })

  it.runIf(process.platform === 'linux')('heeds the affinity of the process', () => {
    const script = `console.log(require(${JSON.stringify(built)}).availableCpus())`
    expect(succeed('taskset', ['-c', '0', process.execPath, '-e', script]).trim()).toBe('1')
  })
})

describe('an engine', () => {
  it('describes itself', () => {
    const { description } = newEngine(new Events(), { isa: 'portable', threads: 1 })
    expect(description).toMatch(/^cpu portable, 1 thread/)
  })

  it.each([
    [{ device: 'tpu' as 'cpu' }, /device: expected 'cpu' or 'cuda', found 'tpu'/],
    [{ threads: -1 }, /threads: expected an integer from 0 to \d+, found -1/],
    [{ threads: Number.NaN }, /threads: expected an integer .* found NaN/],
    [{ blockSize: 0 }, /blockSize: expected an integer from 1/],
    [{ blockSize: 1.5 }, /blockSize: .* found 1.5/],
    [{ numBlocks: 2 ** 40 }, /numBlocks: /],
    [{ isa: 'sse9' }, /sse9/],
    [{ onDead: undefined }, /onDead: expected a function/],
  ])('refuses %o', (options, message) => {
    expect(() => newEngine(new Events(), options as Partial<NativeEngineOptions>)).toThrow(message)
  })

  it('refuses a `this` that is no engine', async () => {
    const { engine } = await loadedEngine()
    const { submit } = engine as { submit: (this: unknown, ...args: unknown[]) => void }
    expect(() => submit.call({}, ...promptStep(3))).toThrow(TypeError)
    expect(() => submit.call(undefined)).toThrow('expected `this` to be an Engine')
  })

  it('gives one result a submit, in order', async () => {
    const { engine, events } = await loadedEngine()
    for (const id of [5, 6, 7]) engine.submit(...promptStep(20, id))
    expect(engine.counters().submits).toBe(3)
    await events.until(3)
    const results = events.results.map(({ ints, floats }) => readResult(ints, floats))
    expect(results.map(({ stepId }) => stepId)).toEqual([5, 6, 7])
    expect(engine.counters()).toEqual({ submits: 3, callbacks: 3 })
    for (const result of results) {
      expect(result.tokenIds).toHaveLength(1)
      expect(result.tokenIds[0]).toBeLessThan(TOY_VOCAB)
      expect(result.tokenIds).toEqual(results[0]!.tokenIds)
      expect(result.logprobs).toEqual(results[0]!.logprobs)
      expect(result.seconds).toBeGreaterThan(0)
    }
  })

  it('copies the arrays of a step before submit returns', async () => {
    const { engine, events } = await loadedEngine()
    const [ints, floats] = promptStep(20)
    engine.submit(ints, floats)
    ints.fill(-1)
    floats.fill(Number.NaN)
    engine.submit(...promptStep(20))
    await events.until(2)
    const [first, second] = events.results.map(({ ints, floats }) => readResult(ints, floats))
    expect(first!.tokenIds).toEqual(second!.tokenIds)
  })

  it('gives results in arrays of their own', async () => {
    const { engine, events } = await loadedEngine()
    engine.submit(...promptStep(4))
    await events.until(1)
    const { ints, floats } = events.results[0]!
    expect(ints.byteLength).toBe(ints.buffer.byteLength)
    expect(floats.byteLength).toBe(floats.buffer.byteLength)
  })

  it('puts the sample of the step before where an id is negative', async () => {
    const { engine, events } = await loadedEngine()
    const next = (token: number, id: number) =>
      packToy({
        id,
        sequences: [{ tokens: [token], start: 20, blocks: [1, 2] }],
        samples: [{ tokenRow: 0, logprobs: 0 }],
      })
    engine.submit(...promptStep(20))
    engine.submit(...next(-1, 2))
    await events.until(2)
    const [prompt, placeholder] = events.results.map((r) => readResult(r.ints, r.floats))
    engine.submit(...next(prompt!.tokenIds[0]!, 3))
    engine.submit(...next((prompt!.tokenIds[0]! + 1) % TOY_VOCAB, 4))
    await events.until(4)
    const [known, other] = events.results.slice(2).map((r) => readResult(r.ints, r.floats))
    expect(placeholder!.logprobs).toEqual(known!.logprobs)
    expect(placeholder!.tokenIds).toEqual(known!.tokenIds)
    expect(other!.logprobs).not.toEqual(known!.logprobs)
  })

  it('computes the same with any number of threads', async () => {
    const logprobs = []
    for (const threads of [1, 2, 3]) {
      const { engine, events } = await loadedEngine({ threads })
      engine.submit(
        ...packToy({
          sequences: [
            { tokens: Array.from({ length: 33 }, (_, i) => i), blocks: [1, 2, 3] },
            { tokens: [5, 6], blocks: [4] },
          ],
          samples: [32, 34].map((tokenRow) => ({ tokenRow, logprobs: 5 })),
        }),
      )
      await events.until(1)
      logprobs.push(events.results[0]!.floats.subarray(1))
    }
    expect(logprobs[0]).toHaveLength(12)
    expect(logprobs[1]).toEqual(logprobs[0])
    expect(logprobs[2]).toEqual(logprobs[0])
  })

  it('runs a step that only copies blocks, and copies between steps', async () => {
    const { engine, events } = await loadedEngine()
    engine.submit(...promptStep(16))
    await engine.copy(Int32Array.of(0, 0, 1, 1, 2)) // out to the host …
    engine.submit(...packToy({ sequences: [], copiesBefore: [0, 1, 2, 0, 9] })) // … and elsewhere
    const next = (block: number) =>
      packToy({
        sequences: [{ tokens: [3], start: 16, blocks: [block, 5] }],
        samples: [{ tokenRow: 0, logprobs: 0 }],
      })
    for (const block of [1, 9, 10]) engine.submit(...next(block))
    await events.until(5)
    const [original, copy, empty] = events.results.slice(2)
    expect(copy!.floats.subarray(1)).toEqual(original!.floats.subarray(1))
    expect(empty!.floats.subarray(1)).not.toEqual(original!.floats.subarray(1))
  })

  it('holds several plans over one pool', async () => {
    const { engine, events } = await loadedEngine()
    await engine.load(toyPlan({ limits: { tokens: 8, sequences: 1, samples: 1 } }), { seed: 1 })
    const step: ToyStep = {
      sequences: [{ tokens: [1, 2, 3], blocks: [1] }],
      samples: [{ tokenRow: 2, logprobs: 3 }],
    }
    engine.submit(...packToy(step))
    engine.submit(...packToy({ ...step, plan: 1 }))
    await events.until(2)
    const [first, second] = events.results
    expect(second!.floats.subarray(1)).toEqual(first!.floats.subarray(1))
    await expect(engine.load(toyPlan({ layers: 3 }), { seed: 1 })).rejects.toThrow(
      "plan 'llama' has other cache groups than plan 'llama'",
    )
  })
})

describe('loading weights', () => {
  const plan = `octavo-plan 1 one vocab=4
limits T=4 S=1 R=1 arena=256
weight 0 matrix float32 [4,2] table
%0 [T,2] @0 = embed() weight=0 scale=1 "embed"
%1 [R,2] @64 = gatherRows(%0) "gather"
%2 [R,4] @128 = linear(%1) weight=0 "head"
sample(%2) "sample"
`
  const good = (): NativeTensor => ({
    name: 'table',
    file: join(folder, 'weights.bin'),
    offset: 8,
    length: 32,
    type: 'float32',
    shape: [4, 2],
  })

  beforeAll(() => {
    const rows = Float32Array.of(9, 9, 1, 0, 0, 1, -1, 0, 0, -1) // two floats before the table
    writeFileSync(join(folder, 'weights.bin'), rows)
    const bytes = Buffer.from(rows.buffer, 2 * rows.BYTES_PER_ELEMENT)
    writeFileSync(join(folder, 'odd.bin'), Buffer.concat([Buffer.alloc(3), bytes]))
  })

  it.each([
    ['a range of a file', 'weights.bin', 8],
    ['a range at an odd byte, as an unpadded header leaves it', 'odd.bin', 3],
  ])('maps %s', async (_, file, offset) => {
    const tensor = { ...good(), file: join(folder, file), offset }
    const events = new Events()
    const engine = newEngine(events)
    const progress: [number, number][] = []
    await engine.load(plan, [tensor], (loaded, total) => progress.push([loaded, total]))
    expect(progress.at(0)).toEqual([0, 32])
    expect(progress.at(-1)).toEqual([32, 32])
    for (const token of [2, 1]) {
      const sequences = [{ tokens: [token], blocks: [] }]
      engine.submit(...packToy({ groups: 0, sequences, samples: [{ tokenRow: 0 }] }))
    }
    await events.until(2)
    expect(events.results.map(({ ints }) => ints[RESULT_INTS])).toEqual([2, 1]) // each row is most like itself
  })

  it.each<[string, Partial<NativeTensor>, RegExp]>([
    ['no file', { file: '/no/such/file' }, /cannot open '\/no\/such\/file': No such file/],
    ['beyond the end', { offset: 12 }, /tensor 'table' of '.*weights.bin': 32 bytes at offset 12/],
    ['offset beyond', { offset: 2 ** 52 }, /32 bytes at offset 4503599627370496 of a file of 40/],
    ['length', { length: 28 }, /float32 \[4,2\] takes 32 bytes, the range has 28/],
    ['type', { type: 'float16' }, /float16 \[4,2\] takes 16 bytes, the range has 32/],
    ['shape', { shape: [2, 4] }, /tensor 'table' has shape \[2,4\], the plan wants \[4,2\]/],
    ['overflow', { shape: [2 ** 40, 2 ** 40] }, /impossible shape/],
    ['negative', { shape: [-4, -2] }, /impossible shape/],
    ['missing', { name: 'other' }, /tensor 'table' is wanted by the plan and was not given/],
    ['folder', { file: '/' }, /cannot open '\/'/],
  ])('refuses: %s', async (_, change, message) => {
    const engine = newEngine()
    await expect(engine.load(plan, [{ ...good(), ...change }])).rejects.toThrow(message)
    expect(() => engine.submit(...packToy({ groups: 0, sequences: [] }))).toThrow(
      /the engine failed to load: /,
    )
    await expect(engine.load(plan, [good()])).rejects.toThrow(/the engine failed to load: /)
  })

  it('refuses a tensor given twice and an unknown type', async () => {
    const engine = newEngine()
    await expect(engine.load(plan, [good(), good()])).rejects.toThrow("'table' is given twice")
    const odd = { ...good(), type: 'int3' } as unknown as NativeTensor
    expect(() => newEngine().load(plan, [odd])).toThrow("unknown element type 'int3'")
  })

  it('makes the same dummy weights from the same seed', async () => {
    const draw = async (seed: number) => {
      const events = new Events()
      const engine = newEngine(events)
      await engine.load(toyPlan(), { seed })
      const sequences = [{ tokens: [1, 2, 3], blocks: [1] }]
      engine.submit(...packToy({ sequences, samples: [{ tokenRow: 2, logprobs: 4 }] }))
      await events.until(1)
      return events.results[0]!.floats.subarray(1)
    }
    const first = await draw(7)
    expect(first.every(Number.isFinite)).toBe(true)
    expect(await draw(7)).toEqual(first)
    expect(await draw(8)).not.toEqual(first)
  })
})

describe('the end of an engine', () => {
  it('refuses everything once it is disposed, however often', async () => {
    const { engine } = await loadedEngine()
    await Promise.all([engine.dispose(), engine.dispose()])
    await engine.dispose()
    expect(() => engine.submit(...promptStep(3))).toThrow('the engine was disposed')
    await expect(engine.copy(new Int32Array(0))).rejects.toThrow('the engine was disposed')
    await expect(engine.load(toyPlan(), { seed: 1 })).rejects.toThrow('the engine was disposed')
  })

  it('refuses a step before any plan is loaded', () => {
    expect(() => newEngine().submit(...promptStep(3))).toThrow('plan 0 of 0 loaded')
  })
})
