import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { readCheckpoint } from '../lib/weights/checkpoint.js'
import type { DownloadProgress } from '../lib/weights/hub.js'
import { locateModel } from '../lib/weights/model-folder.js'
import { temporaryFolder, writeSafetensors } from './support/files.js'
import {
  COMMIT,
  emptyHubCache,
  digestOf,
  serveHub,
  type HubFile,
  type HubServer,
} from './support/hub-server.js'

const ID = 'org/tiny'

function tensors(): Buffer {
  const file = join(temporaryFolder(), 'model.safetensors')
  const bytes = Uint8Array.from({ length: 400_000 }, (_, i) => (i * i) % 251)
  writeSafetensors(file, { a: { dtype: 'F32', shape: [100_000], bytes } })
  return readFileSync(file)
}

describe('downloading a model', () => {
  let cache: string
  let repository: string
  let hub: HubServer
  let files: Record<string, HubFile>

  beforeEach(async () => {
    cache = emptyHubCache()
    repository = join(cache, 'models--org--tiny')
    files = {
      'config.json': { content: Buffer.from('{"model_type":"llama"}') },
      'chat_template.jinja': { content: Buffer.from('{{ messages }}') },
      'merges.txt': { content: Buffer.from('#version: 0.2\n') },
      'model.safetensors': { content: tensors(), large: true },
      'consolidated.safetensors': { content: Buffer.alloc(100), large: true },
      'README.md': { content: Buffer.from('# Tiny') },
    }
    hub = await serveHub(ID, files)
    vi.stubEnv('HF_ENDPOINT', hub.url)
  })

  const blob = (name: string) => join(repository, 'blobs', digestOf(files[name]!))
  const contents = () => hub.requests.filter((request) => request.includes('model.safetensors'))

  it('lets two processes download the same files at once', async () => {
    const folders = await Promise.all([locateModel(ID), locateModel(ID), locateModel(ID)])
    expect(new Set(folders.map(({ path }) => path)).size).toBe(1)
    for (const name of ['config.json', 'model.safetensors'])
      expect(readFileSync(blob(name)).equals(files[name]!.content)).toBe(true)
    expect(readdirSync(join(repository, 'refs'))).toEqual(['main'])
  })

  it('fills the shared cache with the files that a model needs', async () => {
    const folder = await locateModel(ID)
    const snapshot = join(repository, 'snapshots', COMMIT)
    expect(folder).toMatchObject({
      path: snapshot,
      config: { model_type: 'llama' },
    })
    const names = ['chat_template.jinja', 'config.json', 'merges.txt', 'model.safetensors']
    expect(readdirSync(snapshot).sort()).toEqual(names)
    for (const name of names) {
      expect(readFileSync(join(snapshot, name))).toEqual(files[name]!.content)
      expect(readFileSync(blob(name))).toEqual(files[name]!.content)
    }
    expect(readFileSync(join(repository, 'refs/main'), 'utf8')).toBe(COMMIT)
    expect((await readCheckpoint(snapshot)).tensors.get('a')).toMatchObject({ shape: [100_000] })
  })

  it.skipIf(process.platform === 'win32')('links to the contents by relative paths', async () => {
    const { path } = await locateModel(ID)
    const name = join(path, 'config.json')
    expect(lstatSync(name).isSymbolicLink()).toBe(true)
    expect(readlinkSync(name)).toBe(`../../blobs/${digestOf(files['config.json']!)}`)
  })

  it('asks the network for nothing once the cache is filled', async () => {
    await locateModel(ID)
    const before = hub.requests.length
    await locateModel(ID)
    expect(hub.requests).toHaveLength(before)
  })

  it('reports bytes that only grow, to the total', async () => {
    const reports: DownloadProgress[] = []
    await locateModel(ID, { onProgress: (progress) => reports.push(progress) })
    const loaded = reports.map((report) => report.loadedBytes)
    expect(loaded).toEqual(loaded.toSorted((a, b) => a - b))
    const names = ['chat_template.jinja', 'config.json', 'merges.txt', 'model.safetensors']
    const totalBytes = names.reduce((sum, name) => sum + files[name]!.content.length, 0)
    expect(reports.at(-1)).toMatchObject({ loadedBytes: totalBytes, totalBytes })
    expect(new Set(reports.map((report) => report.file))).toEqual(new Set(names))
  })

  it('leaves the tensors where the config is enough, and completes the snapshot later', async () => {
    const { path } = await locateModel(ID, { weights: false })
    expect(readdirSync(path).sort()).toEqual(['chat_template.jinja', 'config.json', 'merges.txt'])
    expect(contents()).toEqual([])
    expect(await locateModel(ID)).toMatchObject({ path })
    expect(existsSync(join(path, 'model.safetensors'))).toBe(true)
    expect(hub.requests.filter((request) => request.includes('config.json'))).toHaveLength(2)
  })

  it('goes on where a broken download ended', async () => {
    hub.breakAfter = 300_000
    await expect(locateModel(ID)).rejects.toMatchObject({ code: 'model_not_found' })
    expect(existsSync(blob('model.safetensors'))).toBe(false)
    expect(existsSync(join(repository, 'refs/main'))).toBe(false)
    const loaded = statSync(`${blob('model.safetensors')}.incomplete`).size
    expect(loaded).toBeGreaterThan(0)

    hub.breakAfter = undefined
    hub.requests.length = 0
    const { path } = await locateModel(ID)
    expect(readFileSync(join(path, 'model.safetensors'))).toEqual(
      files['model.safetensors']!.content,
    )
    const size = files['model.safetensors']!.content.length
    expect(contents().at(-1)).toMatch(new RegExp(` bytes=${loaded}-${size - 1}$`))
    expect(existsSync(`${blob('model.safetensors')}.incomplete`)).toBe(false)
  })

  it('refuses content that is not what the hub announced, and forgets it', async () => {
    await locateModel(ID, { weights: false })
    const partial = `${blob('model.safetensors')}.incomplete`
    writeFileSync(partial, 'not the beginning of the file')
    const error = await locateModel(ID).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'invalid_file' })
    expect((error as Error).message).toMatch(
      /^org\/tiny: the hub gave a file of digest [0-9a-f]{64} instead of [0-9a-f]{64} for model\.safetensors$/,
    )
    expect(existsSync(partial)).toBe(false)
    expect((await locateModel(ID)).path).toContain(COMMIT)
  })

  it('takes a commit as revision, which needs no reference', async () => {
    expect((await locateModel(ID, { revision: COMMIT })).path).toContain(COMMIT)
    expect(existsSync(join(repository, 'refs'))).toBe(false)
  })

  it('says that a model does not exist, or that it needs a token', async () => {
    const code = 'model_not_found'
    const before = `there is no folder of this name, and the Hugging Face cache ${cache} has no snapshot of revision main`
    const none = `org/none: ${before}; it cannot be downloaded: there is no such model or revision main`
    await expect(locateModel('org/none')).rejects.toMatchObject({ code, message: none })
    hub.token = 'hf_secret'
    const closed = `org/tiny: ${before}; it cannot be downloaded: it needs access: set HF_TOKEN to a token that may read it`
    await expect(locateModel(ID)).rejects.toMatchObject({ code, message: closed })
    vi.stubEnv('HF_TOKEN', 'hf_secret')
    expect((await locateModel(ID)).path).toContain(COMMIT)
  })

  it('says that the hub cannot be reached', async () => {
    vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1')
    const error = await locateModel(ID).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'model_not_found' })
    expect((error as Error).message).toMatch(
      /^org\/tiny: .* has no snapshot of revision main; it cannot be downloaded: .*(ECONNREFUSED|bad port)/,
    )
  })

  it('stays off the network when asked to', async () => {
    await expect(locateModel(ID, { download: false })).rejects.toMatchObject({
      code: 'model_not_found',
    })
    expect(hub.requests).toEqual([])
  })
})
