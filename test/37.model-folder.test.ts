import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { hubCache } from '../lib/weights/hub-cache.js'
import { locateModel } from '../lib/weights/model-folder.js'
import { temporaryFolder, writeSafetensors } from './support/files.js'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const COMMIT = '0123456789abcdef0123456789abcdef01234567'

/** A folder with the given files. */
function fill(folder: string, files: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  return folder
}

const expectNotFound = (name: string, message: string) =>
  expect(locateModel(name)).rejects.toMatchObject({ code: 'model_not_found', message })

describe('locateModel', () => {
  it('finds the demo in the package', async () => {
    const demo = await locateModel('demo')
    expect(demo).toMatchObject({ name: 'demo', path: join(ROOT, 'models/demo') })
    expect(demo.config).toMatchObject({ model_type: 'llama', vocab_size: 1536 })
    expect(demo.generationConfig).toMatchObject({ eos_token_id: [2, 0] })
  })

  it('finds a folder by a relative path; a file that it lacks is null', async () => {
    const path = fill(temporaryFolder(), { 'config.json': '{"a":1}' })
    const name = relative(process.cwd(), path)
    expect(await locateModel(name)).toEqual({
      ...{ name, path, gguf: null, configFile: join(path, 'config.json') },
      ...{ config: { a: 1 }, generationConfig: null },
    })
  })

  it('says what a folder without config.json holds', async () => {
    const path = temporaryFolder()
    await expectNotFound(path, `${path}: folder ${path} has no config.json; it is empty`)
    fill(path, { 'b.txt': '', 'a.bin': '' })
    await expectNotFound(path, `${path}: folder ${path} has no config.json; it holds a.bin, b.txt`)
  })

  it('names a file that is no JSON', async () => {
    const path = fill(temporaryFolder(), { 'config.json': '{}', 'generation_config.json': '{"a":' })
    const code = 'invalid_file'
    await expect(locateModel(path)).rejects.toMatchObject({ code })
    await expect(locateModel(path)).rejects.toThrow(
      `${join(path, 'generation_config.json')}: not JSON`,
    )
  })

  it.each(['../../..', 'a/../b', '/etc', 'a//b', 'a\\b', ''])(
    'refuses revision %o',
    async (revision) => {
      await expect(locateModel('org/name', { revision, download: false })).rejects.toThrow(
        /^revision: expected the name of a branch/,
      )
    },
  )

  it.each(['main', 'v1.0', 'refs/pr/12', 'feature/a-b', '0123abcd'])(
    'looks for revision %o',
    async (revision) => {
      await expect(locateModel('org/name', { revision, download: false })).rejects.toMatchObject({
        code: 'model_not_found',
      })
    },
  )

  it('refuses a name that is neither a folder nor an id', async () => {
    const path = join(process.cwd(), 'no/such/model')
    const message = `no/such/model: there is no folder ${path}, and it is no Hugging Face id (organisation/name)`
    await expectNotFound('no/such/model', message)
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    await expectNotFound(
      file,
      `${file} is a file; expected a folder with config.json, or a .gguf file`,
    )
  })

  it('names what is no name', async () => {
    await expect(locateModel('')).rejects.toThrow('model: expected a string that is not empty')
    await expect(locateModel(null as unknown as string)).rejects.toThrow(
      new TypeError('model: expected a string, found null'),
    )
  })

  it('says that there is no such GGUF file', async () => {
    const path = join(process.cwd(), 'x.gguf')
    const hint = 'and it is no Hugging Face id (organisation/name)'
    await expectNotFound('x.gguf', `x.gguf: there is no file ${path}, ${hint}`)
    vi.spyOn(process, 'cwd').mockReturnValue(ROOT)
    const name = 'models/demo/x.gguf'
    await expectNotFound(name, `${join(ROOT, 'models/demo')} has no GGUF file x.gguf`)
    vi.restoreAllMocks()
  })
})

describe('a Hugging Face id', () => {
  let repository: string
  let snapshot: string

  beforeEach(() => {
    const cache = temporaryFolder()
    vi.stubEnv('HF_HUB_CACHE', cache)
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    repository = join(cache, 'models--org--tiny')
    snapshot = fill(join(repository, 'snapshots', COMMIT), { 'config.json': '{}' })
    writeSafetensors(join(snapshot, 'model.safetensors'), { a: { dtype: 'F32', shape: [1] } })
    fill(join(repository, 'refs'), { main: COMMIT })
  })
  afterEach(() => void vi.unstubAllEnvs())

  it('is found in the cache by branch, by default main, and by commit', async () => {
    fill(join(repository, 'refs/pr'), { '1': `${COMMIT}\n` })
    expect(await locateModel('org/tiny')).toMatchObject({ name: 'org/tiny', path: snapshot })
    expect(await locateModel('org/tiny', { revision: 'pr/1' })).toMatchObject({ path: snapshot })
    expect(await locateModel('org/tiny', { revision: COMMIT })).toMatchObject({ path: snapshot })
  })

  it('gives way to a folder of the same name', async () => {
    const here = temporaryFolder()
    const path = fill(join(here, 'org/tiny'), { 'config.json': '{}' })
    vi.spyOn(process, 'cwd').mockReturnValue(here)
    expect(await locateModel('org/tiny')).toMatchObject({ path })
    vi.restoreAllMocks()
  })

  it('says what the cache lacks and what to do', async () => {
    const cache = join(repository, '..')
    const before = `there is no folder of this name, and the Hugging Face cache ${cache} has`
    const after = 'without HF_HUB_OFFLINE it is downloaded, or name a folder'
    const none = `org/none: ${before} no snapshot of revision main; ${after}`
    await expectNotFound('org/none', none)
    await expect(locateModel('org/none', { download: false })).rejects.toThrow(
      'without localFilesOnly it is downloaded',
    )
    rmSync(join(snapshot, 'model.safetensors'))
    const partial = `org/tiny: ${before} an incomplete snapshot ${snapshot} of revision main; ${after}`
    await expectNotFound('org/tiny', partial)
  })

  it('needs no tensors where the config is enough', async () => {
    rmSync(join(snapshot, 'model.safetensors'))
    expect(await locateModel('org/tiny', { weights: false })).toMatchObject({ path: snapshot })
  })

  it('is looked for where the environment says', () => {
    const all = { HF_HUB_CACHE: '/cache', HF_HOME: '/home', XDG_CACHE_HOME: '/xdg' }
    expect(hubCache(all)).toBe('/cache')
    expect(hubCache({ ...all, HF_HUB_CACHE: undefined })).toBe(join('/home', 'hub'))
    expect(hubCache({ XDG_CACHE_HOME: '/xdg' })).toBe(join('/xdg', 'huggingface', 'hub'))
    expect(hubCache({})).toMatch(/\.cache.huggingface.hub$/)
  })
})
