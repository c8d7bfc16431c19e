import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { DownloadProgress } from '../lib/weights/hub.js'
import { locateAdapter } from '../lib/weights/locate-adapter.js'
import { temporaryFolder } from './support/files.js'
import {
  COMMIT,
  emptyHubCache,
  serveHub,
  type HubFile,
  type HubServer,
} from './support/hub-server.js'

const ID = 'org/tiny'
const FILES = ['adapter_config.json', 'adapter_model.safetensors']
const WANTED = `expected a folder with ${FILES.join(' and ')}, or a .gguf file`

let cache: string
let snapshot: string
let hub: HubServer
let files: Record<string, HubFile>

beforeEach(async () => {
  cache = emptyHubCache()
  snapshot = join(cache, 'models--org--tiny/snapshots', COMMIT)
  files = {
    'adapter_config.json': { content: Buffer.from('{"peft_type":"LORA"}') },
    'adapter_model.safetensors': { content: Buffer.alloc(2000, 'a'), large: true },
    'adapter_model.bin': { content: Buffer.alloc(100), large: true },
    'checkpoint-10/adapter_model.safetensors': { content: Buffer.alloc(100), large: true },
    'optimizer.pt': { content: Buffer.alloc(100), large: true },
    'tokenizer.json': { content: Buffer.from('{}') },
  }
  hub = await serveHub(ID, files)
  vi.stubEnv('HF_ENDPOINT', hub.url)
})

const expectNotFound = (found: Promise<string>, message: string) =>
  expect(found).rejects.toMatchObject({ code: 'model_not_found', message })

describe('an adapter by its Hugging Face id', () => {
  it('is downloaded, no more than its two files, and found in the cache from then on', async () => {
    const reports: DownloadProgress[] = []
    const onProgress = (progress: DownloadProgress) => reports.push(progress)
    expect(await locateAdapter(ID, { onProgress })).toBe(snapshot)
    expect(readdirSync(snapshot).sort()).toEqual(FILES)
    expect(reports.at(-1)).toMatchObject({ loadedBytes: 2020, totalBytes: 2020 })
    const before = hub.requests.length
    expect(await locateAdapter(ID)).toBe(snapshot)
    expect(await locateAdapter(ID, { revision: COMMIT, download: false })).toBe(snapshot)
    expect(hub.requests).toHaveLength(before)
  })

  it('is completed where the cache lacks a file', async () => {
    await locateAdapter(ID)
    rmSync(join(snapshot, FILES[1]!))
    const lacks = `no adapter_model.safetensors in snapshot ${snapshot}`
    await expectNotFound(
      locateAdapter(ID, { download: false }),
      `${ID}: there is no folder of this name, and the Hugging Face cache ${cache} has ${lacks} of revision main; without localFilesOnly it is downloaded, or name a folder`,
    )
    expect(await locateAdapter(ID)).toBe(snapshot)
    expect(readdirSync(snapshot).sort()).toEqual(FILES)
  })

  it('is not asked for where the network is out of bounds', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    await expectNotFound(
      locateAdapter(ID),
      `${ID}: there is no folder of this name, and the Hugging Face cache ${cache} has no snapshot of revision main; without HF_HUB_OFFLINE it is downloaded, or name a folder`,
    )
    expect(hub.requests).toEqual([])
  })

  it('is refused where the hub has no such adapter', async () => {
    await expect(locateAdapter('org/none')).rejects.toThrow(
      'it cannot be downloaded: there is no such model or revision main',
    )
    delete files['adapter_model.safetensors']
    const has = `${ID} has no adapter_model.safetensors`
    await expectNotFound(
      locateAdapter(ID),
      `${has} (it holds adapter_model.bin; convert it to safetensors)`,
    )
    await expect(locateAdapter(ID, { revision: '../main' })).rejects.toThrow(/^revision: expected/)
  })
})

describe('an adapter by its place', () => {
  it('is a folder, which comes before an id', async () => {
    const folder = temporaryFolder()
    expect(await locateAdapter(folder)).toBe(folder)
    expect(await locateAdapter(relative(process.cwd(), folder))).toBe(folder)
    vi.spyOn(process, 'cwd').mockReturnValue(folder)
    mkdirSync(join(folder, ID), { recursive: true })
    expect(await locateAdapter(ID)).toBe(join(folder, ID))
    vi.restoreAllMocks()
    expect(hub.requests).toEqual([])
  })

  it('is no file and no other text', async () => {
    const file = join(temporaryFolder(), 'adapter_model.safetensors')
    writeFileSync(file, '')
    await expectNotFound(locateAdapter(file), `${file} is a file; ${WANTED}`)
    await expectNotFound(
      locateAdapter('/no/such/folder'),
      '/no/such/folder: there is no folder /no/such/folder, and it is no Hugging Face id (organisation/name)',
    )
  })

  it.each(['org/tiny:Q8_0', 'org/tiny/adapter.gguf'])(
    'is none in a GGUF file: %s',
    async (name) => {
      const message = `${name}: adapters in GGUF are not downloaded, ${WANTED}`
      await expect(locateAdapter(name)).rejects.toMatchObject({ code: 'not_supported', message })
    },
  )
})
