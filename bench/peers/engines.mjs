// The engines that are compared: how each is installed, and how it is asked for one case.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
export const folder = fileURLToPath(new URL('../../build-peers', import.meta.url))
const python = join(folder, 'python/bin/python')

/** The types of a model's matrices at each width. OpenVINO GenAI reads no GGUF of BF16. */
const TYPES = { 4: 'Q4_1', 8: 'Q8_0', 16: 'BF16' }

export const ENGINES = {
  octavo: { command: (args) => [process.execPath, [join(here, 'octavo.mjs'), ...args]] },
  'node-llama-cpp': {
    install: installNodeLlamaCpp,
    command: (args) => [process.execPath, [join(here, 'node-llama-cpp.mjs'), ...args]],
  },
  'openvino-genai': {
    install: installPython,
    types: { 16: 'F16' },
    command: (args) => [python, [join(here, 'openvino-genai.py'), ...args]],
  },
}

function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: folder, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`)
}

function installNodeLlamaCpp() {
  if (existsSync(join(folder, 'node_modules/node-llama-cpp'))) return
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', 'node-llama-cpp@3'])
}

function installPython() {
  if (existsSync(join(folder, 'python/installed'))) return
  mkdirSync(folder, { recursive: true })
  run('python3', ['-m', 'venv', 'python'])
  run(python, ['-m', 'pip', 'install', '--quiet', 'openvino-genai==2026.*', 'numpy', 'gguf'])
  writeFileSync(join(folder, 'python/installed'), '')
}

/** The model as a file whose matrices have so many bits, for that engine; made where there is none. */
export function modelFor(engine, model, bits) {
  const type = ENGINES[engine].types?.[bits] ?? TYPES[bits]
  if (bits === 4) return model
  const path = join(folder, `${basename(model, '.gguf')}-${type}.gguf`)
  if (existsSync(path)) return path
  installPython()
  run(python, [join(here, 'requantize-gguf.py'), model, `${path}.new`, type])
  renameSync(`${path}.new`, path)
  return path
}

/** The line that names what went wrong; what follows is often about its consequences. */
const reasonIn = (lines) => lines.find((line) => /error|exception/i.test(line)) ?? lines.at(-1)

/** What an engine gives for a case, in a new process; null with a reason where it fails or is late. */
export function measure(engine, file, wanted, { threads, isa, deadline }) {
  const environment = {
    ...process.env,
    BENCH_THREADS: String(threads),
    BENCH_ISA: isa,
    BENCH_STARTED: String(Date.now()),
    ...(isa === 'avx2' && { ONEDNN_MAX_CPU_ISA: 'AVX2' }),
  }
  const [program, args] = ENGINES[engine].command([file, JSON.stringify(wanted)])
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    timeout: deadline * 1000,
    killSignal: 'SIGKILL',
  })
  if (error?.code === 'ETIMEDOUT') return { value: null, why: `no end in ${deadline} s` }
  if (error) throw error
  const lines = stdout.trim().split('\n')
  if (status !== 0) return { value: null, why: reasonIn(stderr.trim().split('\n')) }
  return { value: JSON.parse(lines.at(-1)).value }
}

/** The versions that were measured. */
export function versions() {
  const read = (path) => JSON.parse(readFileSync(path, 'utf8')).version
  const packages = spawnSync(python, ['-m', 'pip', 'list', '--format=json'], { encoding: 'utf8' })
  const genai = JSON.parse(packages.stdout || '[]').find(({ name }) => name === 'openvino-genai')
  return {
    octavo: read(join(here, '../../package.json')),
    'node-llama-cpp': read(join(folder, 'node_modules/node-llama-cpp/package.json')),
    'openvino-genai': genai?.version ?? '',
  }
}
