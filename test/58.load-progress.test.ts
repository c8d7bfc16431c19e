import { getEventListeners } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { LLMEngine, type LoadOptions, type LoadProgress } from '../lib/index.js'
import { loadAddon } from '../lib/native/addon.js'
import { root } from './support/commands.js'
import { temporaryFolder } from './support/files.js'
import { COMMIT, digestOf, serveHub, type HubFile, type HubServer } from './support/hub-server.js'

const ID = 'org/tiny'
const DEMO = join(root, 'models/demo')
const REASON = new Error('no longer wanted')
const OPTIONS: LoadOptions = { log: false, maxModelLen: 64, kvCacheMemoryBytes: 2 ** 22 }

afterEach(() => void vi.restoreAllMocks())

/** Threads of this process; after a first load, only those of engines come and go. */
const threads = () => readdirSync('/proc/self/task').length
const linux = test.runIf(process.platform === 'linux')

/** Loads, aborts when `when` says so of a report, and gives the reports. */
async function abortedLoad(
  model: string,
  when: (progress: LoadProgress) => boolean,
  options: LoadOptions = {},
): Promise<readonly LoadProgress[]> {
  const controller = new AbortController()
  const reports: LoadProgress[] = []
  const onProgress = (progress: LoadProgress) => {
    reports.push(progress)
    if (when(progress)) controller.abort(REASON)
  }
  const { signal } = controller
  const load = LLMEngine.load(model, { ...OPTIONS, ...options, onProgress, signal })
  await expect(load).rejects.toBe(REASON)
  expect(getEventListeners(signal, 'abort')).toEqual([])
  return reports
}

/** Every report comes: between two of them a second seems to pass. */
function tellAll(): void {
  let seconds = 0
  vi.spyOn(performance, 'now').mockImplementation(() => 1000 * seconds++)
}

/** Some 120 MB of weights. */
function largeModel(): string {
  const folder = temporaryFolder()
  const config = {
    ...(JSON.parse(readFileSync(join(DEMO, 'config.json'), 'utf8')) as object),
    ...{ num_hidden_layers: 20, hidden_size: 512, intermediate_size: 1024 },
    ...{ num_attention_heads: 8, num_key_value_heads: 8, head_dim: 64 },
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  return folder
}
const LARGE: LoadOptions = { loadFormat: 'dummy', skipTokenizerInit: true, dtype: 'float32' }

describe('from the hub', () => {
  let hub: HubServer
  let files: Record<string, HubFile>
  let cache: string

  beforeEach(async () => {
    cache = temporaryFolder()
    const names = readdirSync(DEMO).filter((name) => /\.(json|jinja|safetensors)$/.test(name))
    const file = (name: string): HubFile => ({
      content: readFileSync(join(DEMO, name)),
      large: name.endsWith('.safetensors'),
    })
    files = Object.fromEntries(names.map((name) => [name, file(name)]))
    hub = await serveHub(ID, files)
    const environment = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: cache, HF_HUB_OFFLINE: '' }
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
  })
  afterEach(() => void vi.unstubAllEnvs())

  const load = async (options: LoadOptions) => {
    const engine = await LLMEngine.load(ID, { ...OPTIONS, ...options })
    await engine.close()
  }

  test('a load tells of its download and of its weights, in bytes and their share', async () => {
    const reports: LoadProgress[] = []
    const log = vi.fn()
    tellAll()
    await load({ log, onProgress: (progress) => reports.push(progress) })
    const phases = ['download', 'weights'].map((name) =>
      reports.filter(({ phase }) => phase === name),
    )
    expect(phases.flat()).toEqual(reports)
    for (const [i, phase] of phases.entries()) {
      const fractions = phase.map(({ fraction }) => fraction)
      expect(fractions).toEqual(fractions.toSorted((a, b) => a - b))
      expect(fractions.at(-1)).toBe(1)
      for (const { fraction, loadedBytes, totalBytes, file } of phase) {
        expect(fraction).toBe(loadedBytes / totalBytes)
        expect(file === undefined).toBe(i === 1)
      }
    }
    const bytes = Object.values(files).reduce((sum, { content }) => sum + content.length, 0)
    expect(phases[0]!.at(-1)).toMatchObject({ loadedBytes: bytes, totalBytes: bytes })
    expect(phases[0]!.length).toBeGreaterThan(Object.keys(files).length)
    expect(log.mock.calls.join('\n')).not.toContain('downloading')
  })

  test('of each phase the first and last report come however fast it is, others now and then', async () => {
    vi.spyOn(performance, 'now').mockReturnValue(0)
    const reports: LoadProgress[] = []
    await load({ onProgress: (progress) => reports.push(progress) })
    expect(reports.map(({ phase, fraction }) => [phase, Math.floor(fraction)])).toEqual([
      ['download', 0],
      ['download', 1],
      ['weights', 0],
      ['weights', 1],
    ])
  })

  test('without onProgress the log has lines of a download', async () => {
    const log = vi.fn()
    await load({ log })
    expect(log.mock.calls.join('\n')).toMatch(/^downloading org\/tiny: \d+ % of \d MiB$/m)
  })

  test('a download that stalls is called off at once, and goes on later', async () => {
    const weights = files['model.safetensors']!
    const blob = join(cache, 'models--org--tiny/blobs', digestOf(weights))
    const controller = new AbortController()
    hub.stallAfter = 1_000_000
    tellAll()
    // Its first report comes before its first bytes.
    let told = 0
    const onProgress = ({ file }: LoadProgress) => {
      if (file === 'model.safetensors' && ++told === 2) setImmediate(() => controller.abort(REASON))
    }
    await expect(load({ onProgress, signal: controller.signal })).rejects.toBe(REASON)
    await vi.waitFor(() => expect(hub.givenUp).toBe(1))
    expect(existsSync(blob)).toBe(false)
    const begun = statSync(`${blob}.incomplete`).size
    expect(begun).toBeGreaterThan(0)

    hub.stallAfter = undefined
    await load({})
    const last = weights.content.length - 1
    const contents = hub.requests.filter((request) => request.includes('safetensors'))
    expect(contents.at(-1)).toMatch(new RegExp(` bytes=${begun}-${last}$`))
    const snapshot = join(cache, 'models--org--tiny/snapshots', COMMIT)
    expect(readFileSync(join(snapshot, 'model.safetensors')).equals(weights.content)).toBe(true)
  })

  test('what onProgress throws ends the download and rejects the load', async () => {
    const onProgress = () => {
      throw REASON
    }
    await expect(load({ onProgress })).rejects.toBe(REASON)
    expect(hub.requests.at(-1)).not.toContain('safetensors')
  })

  test('a signal that is aborted already asks for nothing', async () => {
    await expect(load({ signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON)
    expect(hub.requests).toEqual([])
  })
})

describe('while weights are brought into memory', () => {
  linux.each([0, 0.9, 1])('an abort at %d leaves no thread and no memory', async (fraction) => {
    const model = largeModel()
    const bytes = () => {
      const status = readFileSync('/proc/self/status', 'utf8')
      return 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(status)![1])
    }
    await (await LLMEngine.load('demo', OPTIONS)).close() // Node's own threads are there now
    tellAll()
    const before = { threads: threads(), bytes: bytes() }
    const load = vi.spyOn(loadAddon().Engine.prototype, 'load')
    const reports = await abortedLoad(model, ({ fraction: reached }) => reached >= fraction, LARGE)
    expect(reports.at(-1)).toMatchObject({ phase: 'weights' })
    expect(reports.at(-1)!.totalBytes).toBeGreaterThan(100e6)
    // One that comes late may meet a load that is done.
    if (fraction === 0)
      await expect(load.mock.results[0]!.value).rejects.toThrow('the engine was disposed')
    await expect.poll(threads).toBe(before.threads) // the system lists one that is joined a moment longer
    expect(bytes() - before.bytes).toBeLessThan(50e6)
  })

  linux('what onProgress throws rejects the load, and leaves no thread', async () => {
    await (await LLMEngine.load('demo', OPTIONS)).close()
    const before = threads()
    const onProgress = () => {
      throw REASON
    }
    await expect(LLMEngine.load('demo', { ...OPTIONS, onProgress })).rejects.toBe(REASON)
    expect(threads()).toBe(before)
  })

  test('an abort while packed weights are written or read leaves no half file', async () => {
    const packedWeightsCache = temporaryFolder()
    const atEnd = ({ fraction }: LoadProgress) => fraction === 1
    for (const when of [({ fraction }: LoadProgress) => fraction === 0, atEnd]) {
      await abortedLoad('demo', when, { packedWeightsCache })
      expect(readdirSync(packedWeightsCache).filter((name) => name.endsWith('.tmp'))).toEqual([])
    }

    const engine = await LLMEngine.load('demo', { ...OPTIONS, packedWeightsCache })
    await engine.close()
    const files = readdirSync(packedWeightsCache)
    expect(files).toHaveLength(1)
    await abortedLoad('demo', ({ fraction }) => fraction === 0, { packedWeightsCache })
    expect(readdirSync(packedWeightsCache)).toEqual(files)
  })
})

test('an abort after the load does nothing, and nobody listens for it', async () => {
  const controller = new AbortController()
  const { signal } = controller
  await using engine = await LLMEngine.load('demo', { ...OPTIONS, signal })
  expect(getEventListeners(signal, 'abort')).toEqual([])
  controller.abort(REASON)
  const [output] = await engine.generate('The', { maxTokens: 2 })
  expect(output!.outputs[0]!.tokenIds).toHaveLength(2)
})

test.each<[LoadOptions, string]>([
  [{ signal: {} as AbortSignal }, 'signal: expected an AbortSignal, found an object'],
  [{ onProgress: 'bar' as never }, 'onProgress: expected a function, found "bar"'],
  [{ onProgres: 1 } as never, 'unknown engine option "onProgres"; did you mean onProgress?'],
])('%o is refused', async (options, message) => {
  await expect(LLMEngine.load('demo', options)).rejects.toThrow(new TypeError(message))
})
