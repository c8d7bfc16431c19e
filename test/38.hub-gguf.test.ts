import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { createHandler } from '../lib/server/index.js'
import type { DownloadProgress } from '../lib/weights/hub.js'
import { locateModel } from '../lib/weights/model-folder.js'
import {
  COMMIT,
  emptyHubCache,
  digestOf,
  serveHub,
  type HubFile,
  type HubServer,
} from './support/hub-server.js'
import { EXACT, FIXTURES, modelReference } from './support/models.js'

const ID = 'org/tiny'
const LLAMA = readFileSync(join(FIXTURES, 'gguf/llama-BF16.gguf'))
const MODEL: HubFile = { content: LLAMA, large: true }
const SPLIT = [1, 2, 3].map((i) => `Q8_0/tiny-Q8_0-0000${i}-of-00003.gguf`)
const GGUF_FILES: Readonly<Record<string, HubFile>> = {
  '.gitattributes': { content: Buffer.from('*.gguf') },
  'README.md': { content: Buffer.from('# Tiny') },
  'config.json': { content: Buffer.from('{"model_type":"llama"}') },
  'tiny-Q4_K_M.gguf': MODEL,
  'tiny-Q4_0.gguf': MODEL,
  'tiny-IQ1_S.gguf': MODEL,
  'mmproj-F16.gguf': MODEL,
  'imatrix.gguf': MODEL,
  [SPLIT[0]!]: MODEL,
  [SPLIT[1]!]: { content: Buffer.from('part 2'), large: true },
  [SPLIT[2]!]: { content: Buffer.from('part 3'), large: true },
}

let snapshot: string
let repository: string
let hub: HubServer

beforeEach(() => {
  const cache = emptyHubCache()
  repository = join(cache, 'models--org--tiny')
  snapshot = join(repository, 'snapshots', COMMIT)
})

async function serve(files: Readonly<Record<string, HubFile>>): Promise<void> {
  hub = await serveHub(ID, files)
  vi.stubEnv('HF_ENDPOINT', hub.url)
}

/** The files of the snapshot. */
const fetched = () =>
  readdirSync(snapshot, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.\w+$/.test(name))
    .sort()

/** Puts files into the cache, as other tools do. */
function cache(...names: readonly string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(snapshot, name)), { recursive: true })
    writeFileSync(join(snapshot, name), name.endsWith('.gguf') ? LLAMA : '{}')
  }
  mkdirSync(join(repository, 'refs'), { recursive: true })
  writeFileSync(join(repository, 'refs/main'), COMMIT)
}

describe('a repository of GGUF files', () => {
  beforeEach(() => serve(GGUF_FILES))

  it.each([
    ['by a tag', `${ID}:Q4_0`, 'tiny-Q4_0.gguf'],
    ['by a tag in small letters', `${ID}:q4_0`, 'tiny-Q4_0.gguf'],
    ['by its id, the preferred file', ID, 'tiny-Q4_K_M.gguf'],
    ['by the name of a file', `${ID}/tiny-Q4_0.gguf`, 'tiny-Q4_0.gguf'],
  ])('is loaded %s, and then without network', async (_, name, file) => {
    expect(await locateModel(name)).toMatchObject({ name, path: join(snapshot, file) })
    expect(fetched()).toEqual([file])
    expect(readFileSync(join(snapshot, file)).equals(LLAMA)).toBe(true)
    expect(readFileSync(join(repository, 'refs/main'), 'utf8')).toBe(COMMIT)
    const before = hub.requests.length
    expect(await locateModel(name)).toMatchObject({ path: join(snapshot, file) })
    expect(hub.requests).toHaveLength(before)
  })

  it.each([`${ID}:Q8_0`, `${ID}/${SPLIT[0]}`, `${ID}/${SPLIT[1]}`])(
    'has all parts of a split file fetched for %s',
    async (name) => {
      const reports: DownloadProgress[] = []
      const onProgress = (progress: DownloadProgress) => reports.push(progress)
      const { path } = await locateModel(name, { onProgress })
      expect(path).toBe(join(snapshot, SPLIT[0]!))
      expect(fetched()).toEqual(SPLIT)
      const totalBytes = SPLIT.reduce((sum, name) => sum + GGUF_FILES[name]!.content.length, 0)
      expect(reports.at(-1)).toMatchObject({ loadedBytes: totalBytes, totalBytes })
    },
  )

  it('has a part that the cache lacks fetched', async () => {
    await locateModel(`${ID}:Q8_0`)
    rmSync(join(snapshot, SPLIT[2]!))
    hub.requests.length = 0
    await locateModel(`${ID}:Q8_0`)
    expect(fetched()).toEqual(SPLIT)
    expect(hub.requests.join('\n')).not.toContain('resolve') // its content was there
  })

  it('goes on where a broken download ended', async () => {
    hub.breakAfter = 10_000
    await expect(locateModel(`${ID}:Q4_0`)).rejects.toMatchObject({ code: 'model_not_found' })
    expect(existsSync(`${join(repository, 'blobs', digestOf(MODEL))}.incomplete`)).toBe(true)
    hub.breakAfter = undefined
    await locateModel(`${ID}:Q4_0`)
    expect(hub.requests.at(-1)).toMatch(/tiny-Q4_0\.gguf bytes=[1-9]\d*-/)
  })

  it('is loaded at a revision', async () => {
    const { path } = await locateModel(`${ID}:Q4_0`, { revision: COMMIT })
    expect(path).toBe(join(snapshot, 'tiny-Q4_0.gguf'))
    expect(existsSync(join(repository, 'refs'))).toBe(false)
    await expect(locateModel(`${ID}:Q4_0`, { revision: 'v2' })).rejects.toThrow(
      `org/tiny:Q4_0: there is no folder of this name, and the Hugging Face cache ${join(repository, '..')} has ` +
        'no snapshot of revision v2; it cannot be downloaded: there is no such model or revision v2',
    )
  })

  it('is told with its files and what can be computed where a tag or file is not there', async () => {
    const facts = `: there are ${SPLIT[0]}, tiny-IQ1_S.gguf, tiny-Q4_0.gguf, tiny-Q4_K_M.gguf; types that are computed: F32,`
    const code = 'model_not_found'
    for (const [name, wish] of [
      [`${ID}:Q6_K`, 'Q6_K'],
      [`${ID}/other.gguf`, 'other.gguf'],
      [`${ID}/mmproj-F16.gguf`, 'mmproj-F16.gguf'],
    ]) {
      const error = await locateModel(name!).catch((error: unknown) => error)
      expect(error).toMatchObject({ code })
      expect((error as Error).message).toContain(`org/tiny has no GGUF file ${wish}${facts}`)
    }
    expect(hub.requests.join('\n')).not.toContain('resolve')
  })

  it('has nothing fetched of a type that is not computed', async () => {
    await expect(locateModel(`${ID}:IQ1_S`)).rejects.toMatchObject({ code: 'unsupported_model' })
    expect(hub.requests.join('\n')).not.toContain('resolve')
  })

  it('gives the tokens of the reference', async () => {
    const { prompts, greedy } = modelReference('llama')
    const name = `${ID}:Q4_K_M`
    await using engine = await LLMEngine.load(name, {
      ...EXACT,
      skipTokenizerInit: true,
      log: false,
    })
    expect(engine.model).toBe(name)
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 24, temperature: 0, ignoreEos: true },
    )
    expect(outputs.map(({ outputs: [output] }) => output!.tokenIds)).toEqual(greedy)
  })
})

it.each(['', 'with a slash, as it is'])('a server answers to the name %s', async (plain) => {
  await serve(GGUF_FILES)
  const name = `${ID}:Q4_K_M`
  await using engine = await LLMEngine.load(name, { ...EXACT, skipTokenizerInit: true, log: false })
  const handler = createHandler(engine)
  const id = plain ? name : encodeURIComponent(name)
  const model = await handler(new Request(`http://server/v1/models/${id}`))
  expect(await model.json()).toMatchObject({ id: name, root: name })
  const body = JSON.stringify({ model: name, prompt: [1, 2], max_tokens: 1 })
  const answer = await handler(
    new Request('http://server/v1/completions', { method: 'POST', body }),
  )
  expect(answer.status).toBe(200)
})

describe('a repository of both', () => {
  const both = {
    ...GGUF_FILES,
    'model.safetensors': { content: Buffer.from('tensors'), large: true },
  }
  beforeEach(() => serve(both))

  it('has its safetensors loaded, unless a file is named', async () => {
    expect(await locateModel(ID)).toMatchObject({ path: snapshot, gguf: null })
    expect(fetched()).toEqual(['config.json', 'model.safetensors'])
    expect(await locateModel(`${ID}:Q4_0`)).toMatchObject({
      path: join(snapshot, 'tiny-Q4_0.gguf'),
    })
    expect(await locateModel(ID)).toMatchObject({ path: snapshot, gguf: null })
  })

  it.each([true, false])(
    'has them loaded too where a GGUF file came first; weights wanted: %s',
    async (weights) => {
      await locateModel(`${ID}:Q4_0`)
      expect(await locateModel(ID, { weights })).toMatchObject({ path: snapshot, gguf: null })
    },
  )

  it('has a GGUF file loaded where the cache has nothing else, without network', async () => {
    await locateModel(`${ID}:Q4_0`)
    const path = join(snapshot, 'tiny-Q4_0.gguf')
    expect(await locateModel(ID, { download: false })).toMatchObject({ path })
  })
})

describe('the kind of weight files that is asked for', () => {
  const config = GGUF_FILES['config.json']!
  const safetensors = {
    'config.json': config,
    'model.safetensors': { content: Buffer.from('tensors'), large: true },
  }
  const ggufs = { 'config.json': config, 'tiny-Q4_0.gguf': MODEL }

  it('is taken of a repository of both, and then without network', async () => {
    await serve({ ...safetensors, ...ggufs })
    const options = { ...EXACT, loadFormat: 'gguf', skipTokenizerInit: true, log: false } as const
    await (await LLMEngine.load(ID, options)).close()
    expect(fetched()).toEqual(['config.json', 'tiny-Q4_0.gguf'])
    const before = hub.requests.length
    const path = join(snapshot, 'tiny-Q4_0.gguf')
    expect(await locateModel(ID, { format: 'gguf' })).toMatchObject({ path })
    expect(hub.requests).toHaveLength(before)
  })

  it('is downloaded where the cache has the other', async () => {
    await serve({ ...safetensors, ...ggufs })
    cache('tiny-Q8_0.gguf')
    expect(await locateModel(ID, { format: 'safetensors' })).toMatchObject({ path: snapshot })
    const path = join(snapshot, 'tiny-Q4_0.gguf')
    rmSync(join(snapshot, 'tiny-Q8_0.gguf'))
    expect(await locateModel(ID, { format: 'gguf' })).toMatchObject({ path })
  })

  it.each([
    ['gguf', 'safetensors', safetensors, ID],
    ['safetensors', 'gguf', ggufs, ID],
    ['safetensors', 'gguf', ggufs, `${ID}:Q4_0`],
  ] as const)(
    '%s is refused of %s before anything is fetched',
    async (format, has, files, name) => {
      await serve(files)
      await expect(locateModel(name, { format })).rejects.toThrow(
        new RangeError(
          `loadFormat: expected 'auto' or '${has}' with the files of ${name}, found "${format}"`,
        ),
      )
      expect(hub.requests.join('\n')).not.toContain('resolve')
    },
  )

  it('is what the cache lacks where the network may not be used', async () => {
    const other = (format: 'gguf' | 'safetensors') =>
      expect(locateModel(ID, { format, download: false })).rejects
    const before = `and the Hugging Face cache ${join(repository, '..')} has`
    cache('config.json', 'model.safetensors')
    await other('gguf').toThrow(`${before} no GGUF file in snapshot ${snapshot} of revision main;`)
    rmSync(join(snapshot, 'model.safetensors'))
    cache('tiny-Q8_0.gguf')
    await other('safetensors').toThrow(`${before} only tiny-Q8_0.gguf of revision main;`)
  })
})

describe('a cached GGUF file beside a config.json', () => {
  const path = () => join(snapshot, 'tiny-Q4_0.gguf')
  beforeEach(async () => {
    await serve(GGUF_FILES)
    cache('tiny-Q4_0.gguf', 'config.json')
  })

  it('comes before the preferred one of a repository without safetensors', async () => {
    expect(await locateModel(ID)).toMatchObject({ path: path() })
    expect(hub.requests.join('\n')).not.toContain('resolve')
  })

  it.each([
    ['cannot be reached', () => vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1')],
    ['wants a token', () => (hub.token = 'hf_secret')],
  ])('is loaded where the hub %s', async (_, refuse) => {
    refuse()
    expect(await locateModel(ID)).toMatchObject({ path: path() })
  })

  it('is not loaded where safetensors are asked for and the hub gives no answer', async () => {
    hub.token = 'hf_secret'
    await expect(locateModel(ID, { format: 'safetensors' })).rejects.toThrow(
      'has only tiny-Q4_0.gguf of revision main; it cannot be downloaded: it needs access',
    )
  })

  it('is not loaded by a load that is called off', async () => {
    const signal = AbortSignal.abort(new Error('called off'))
    await expect(locateModel(ID, { signal })).rejects.toThrow('called off')
  })
})

describe('a cache that other tools filled', () => {
  beforeEach(() => vi.stubEnv('HF_HUB_OFFLINE', '1'))

  it('gives a GGUF file', async () => {
    cache('tiny-Q8_0.gguf', 'tiny-F16.gguf', 'mmproj-F16.gguf')
    const path = (file: string) => expect.objectContaining({ path: join(snapshot, file) }) as object
    expect(await locateModel(ID)).toEqual(path('tiny-Q8_0.gguf'))
    expect(await locateModel(`${ID}:F16`)).toEqual(path('tiny-F16.gguf'))
    expect(await locateModel(`${ID}/tiny-F16.gguf`)).toEqual(path('tiny-F16.gguf'))
  })

  it('gives it where a config.json lies beside it', async () => {
    cache('tiny-Q8_0.gguf', 'config.json')
    expect(await locateModel(ID)).toMatchObject({ path: join(snapshot, 'tiny-Q8_0.gguf') })
  })

  it('is told with what it has', async () => {
    cache('a-Q8_0.gguf', 'b-Q8_0.gguf', SPLIT[0]!)
    const place = `and the Hugging Face cache ${join(repository, '..')} has`
    const after = 'of revision main; without HF_HUB_OFFLINE it is downloaded, or name a folder'
    for (const [name, kind] of [
      [`${ID}:Q4_0`, 'folder'],
      [`${ID}:Q8_0`, 'folder'],
      [ID, 'folder'],
      [`${ID}/${SPLIT[0]}`, 'file'],
    ])
      await expect(locateModel(name!)).rejects.toMatchObject({
        code: 'model_not_found',
        message: `${name}: there is no ${kind} of this name, ${place} only a-Q8_0.gguf, b-Q8_0.gguf ${after}`,
      })
  })
})
