import { cudaBuild, whyNotBuilt } from '../support/cuda-build.js'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { EngineError, LLMEngine } from '../../lib/index.js'
import { addonFile, findAddon, loadAddon } from '../../lib/native/addon.js'
import { hotKernels } from '../../scripts/lib/hot-kernels.mjs'
import { findNvcc } from '../../scripts/lib/cuda.mjs'
import { kernelsOf, parsePtxas } from '../../scripts/lib/ptxas.mjs'
import { attempt, root, succeed } from '../support/commands.js'

describe.skipIf(whyNotBuilt)('the kernels, as nvcc compiles them', () => {
  const kernels = whyNotBuilt ? [] : kernelsOf(cudaBuild)

  const architectures = [...new Set(kernels.map(({ architecture }) => architecture))]

  it('are those of every source, for every architecture', () => {
    const sources = readdirSync('csrc/cuda/kernels').filter((name) => name.endsWith('.cu'))
    for (const each of architectures) {
      const found = kernels.filter(({ architecture }) => architecture === each)
      expect(new Set(found.map(({ source }) => source))).toEqual(new Set(sources))
    }
    expect(architectures).not.toEqual([])
  })

  it('keep everything in registers', () => {
    expect(kernels.filter(({ spilled }) => spilled > 0)).toEqual([])
  })

  it.each(hotKernels.map(({ title, symbol }) => ({ title, symbol })))(
    'are there for $title',
    ({ symbol }) => {
      const found = kernels.filter((kernel) => symbol.test(kernel.symbol))
      expect(found.map(({ architecture }) => architecture)).toEqual(architectures)
    },
  )
})

const headers = join(dirname(findNvcc()?.path ?? ''), '../include')

describe.skipIf(!existsSync(join(headers, 'cublasLt.h')))('the declarations of cuBLASLt', () => {
  it("are those of NVIDIA's header", () => {
    const source = join(root, 'test/native/cublas_lt_api_test.cc')
    succeed('c++', ['-std=c++17', '-fsyntax-only', '-Icsrc', `-I${headers}`, source])
  })
})

describe('a report of ptxas', () => {
  const report = (stores: number) =>
    `ptxas info    : 14 bytes gmem\n` +
    `ptxas info    : Compiling entry function '_Z1kv' for 'sm_90'\n` +
    `ptxas info    : Function properties for _Z1kv\n` +
    `    16 bytes stack frame, ${stores} bytes spill stores, 8 bytes spill loads\n` +
    `ptxas info    : Used 255 registers, used 1 barriers, 1024 bytes smem\n`

  it('tells registers, shared memory and spills', () => {
    expect(parsePtxas(report(4))).toEqual([
      { symbol: '_Z1kv', architecture: '90', registers: 255, shared: 1024, spilled: 12 },
    ])
  })

  it('is refused where it says nothing of spills', () => {
    expect(() => parsePtxas(report(4).replace('spill stores', 'stores'))).toThrow('spill')
  })
})

describe.skipIf(process.platform === 'win32')('nvcc', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'octavo-nvcc-'))
    vi.stubEnv('CUDA_PATH', undefined)
    vi.stubEnv('CUDA_HOME', join(folder, 'toolkit'))
    vi.stubEnv('PATH', join(folder, 'programs'))
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  function writeProgram(path: string, says: string): string {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 })
    return file
  }

  it('is that of the toolkit, if it is not too old', () => {
    const old = writeProgram('toolkit/bin/nvcc', 'Cuda compilation tools, release 12.4, V12.4.1')
    const path = writeProgram('programs/nvcc', 'Cuda compilation tools, release 13.1, V13.1.2')
    const tried: string[] = []
    expect(findNvcc(tried)).toEqual({ path, version: '13.1' })
    expect(tried).toEqual([`${old}: version 12.4`])
  })

  it.skipIf(existsSync('/usr/local/cuda') || existsSync(join(root, 'build-cuda-toolkit')))(
    'is that which pip installed; where there is none, how to get one is told',
    () => {
      const args = [join(root, 'scripts/build-cuda.mjs')]
      const { status, stderr } = attempt(process.execPath, args)
      expect(status).toBe(1)
      expect(stderr).toMatch(/CUDA 13 or later is needed[^]*pip install 'nvidia-cuda-nvcc/)
      writeProgram('programs/python3', join(folder, 'packages'))
      const path = writeProgram('packages/cu13/bin/nvcc', 'release 13.0, V13.0.88')
      expect(findNvcc()).toEqual({ path, version: '13.0' })
    },
  )
})

const noDriver = whyNotBuilt === '' && loadAddon().cudaFailure() !== ''

describe.skipIf(!noDriver)('the CUDA addon on a machine without a GPU', () => {
  const looked = /looked for an NVIDIA driver \(libcuda\.so\.1, nvcuda\.dll\): /

  it('loads, and says what is missing', () => {
    expect(loadAddon().hasCuda).toBe(true)
    expect(loadAddon().cudaFailure()).toMatch(looked)
    expect(() => loadAddon().cudaMemory()).toThrow(/cudaSetDevice/)
  })

  it("computes on the CPU for device 'auto', and says so in one line", async () => {
    const lines: string[] = []
    const engine = await LLMEngine.load('demo', { log: (line) => lines.push(line) })
    const [output] = await engine.generate(['Once'], { maxTokens: 4 })
    await engine.close()
    expect(output!.outputs[0]!.tokenIds).toHaveLength(4)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/^computing on the CPU: looked for/)
  })

  it("refuses device 'cuda'", async () => {
    const failure: unknown = await LLMEngine.load('demo', { device: 'cuda' }).catch(
      (error: unknown) => error,
    )
    expect(failure).toBeInstanceOf(EngineError)
    expect(failure).toMatchObject({ code: 'device_unavailable' })
    expect((failure as EngineError).message).toMatch(looked)
  })
})

describe.skipIf(whyNotBuilt || process.platform === 'win32')('the package octavo-cuda', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'octavo-cuda-'))
    succeed(process.execPath, ['scripts/pack-cuda.mjs', '--build', cudaBuild, '--out', folder])
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('is where the addon is found, beside octavo and after its own builds', () => {
    const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'))
    const modules = join(folder, 'app/node_modules')
    mkdirSync(join(modules, 'octavo'), { recursive: true })
    writeFileSync(join(modules, 'octavo/package.json'), '{ "name": "octavo" }')
    succeed('tar', ['-xzf', join(folder, tarball!), '-C', modules])
    succeed('mv', [join(modules, 'package'), join(modules, 'octavo-cuda')])
    const addon = findAddon(join(modules, 'octavo'))
    expect(addonFile(addon)).toContain(join(modules, 'octavo-cuda/prebuilds'))
    expect(addon.hasCuda).toBe(true)
  })
})
