// The engines that are compared: how each is installed, and how it is asked for one case.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
export const folder = fileURLToPath(new URL('../../build-peers', import.meta.url))
const python = join(folder, 'python/bin/python')

/** The types of a model's matrices at each width. OpenVINO GenAI reads no GGUF of BF16. */
const TYPES = { 4: 'Q4_1', 8: 'Q8_0', 16: 'BF16' }

const byNode = (name) => [process.execPath, join(here, name)]
const byPython = (name) => [python, join(here, name)]

/**
 * `times` measures a case of cases.mjs, `logits` writes the distributions after each token of a text.
 * `cachedBytes` are those of a cached key or value of 64 numbers, as each engine keeps them by default.
 */
export const ENGINES = {
  octavo: {
    times: byNode('octavo.mjs'),
    logits: byNode('octavo-logits.mjs'),
    cachedBytes: 128, // bfloat16
  },
  'node-llama-cpp': {
    install: installNodeLlamaCpp,
    times: byNode('node-llama-cpp.mjs'),
    logits: byNode('node-llama-cpp-logits.mjs'),
    cachedBytes: 128, // float16
  },
  'openvino-genai': {
    install: installPython,
    types: { 16: 'F16' },
    times: byPython('openvino-genai.py'),
    logits: byPython('openvino-logits.py'),
    cachedBytes: 76, // 8 bits; a key has 16 bytes of scales and zeros, a value 8
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

/**
 * A folder with node-llama-cpp and, of llama.cpp's libraries for processors, the one for AVX2 alone: it takes
 * the best that it finds, and no setting holds it back.
 */
function folderHeldToAvx2() {
  const held = join(folder, 'avx2')
  if (existsSync(join(held, 'package.json'))) return held
  const others = /libggml-cpu-(?!haswell)|@node-llama-cpp.(?!linux-x64$|linux-x64\/)/
  const filter = (path) => !others.test(path)
  cpSync(join(folder, 'node_modules'), join(held, 'node_modules'), { recursive: true, filter })
  cpSync(join(folder, 'package.json'), join(held, 'package.json'))
  return held
}

/** The model as a file whose matrices have so many bits, for that engine; made where there is none. */
export function modelFor(engine, model, bits) {
  return bits === 4 ? model : requantized(model, ENGINES[engine].types?.[bits] ?? TYPES[bits])
}

/** The model with its weights dequantised. */
export const exactModelFor = (model) => requantized(model, 'F32')

function requantized(model, type) {
  const path = join(folder, `${basename(model, '.gguf')}-${type}.gguf`)
  if (existsSync(path)) return path
  installPython()
  run(python, [join(here, 'requantize-gguf.py'), model, `${path}.new`, type])
  renameSync(`${path}.new`, path)
  return path
}

/** The line that names what went wrong; what follows is often about its consequences. */
const reasonIn = (lines) => lines.find((line) => /error|exception/i.test(line)) ?? lines.at(-1)

/** Where an engine runs, and with which environment. */
function settingsOf(engine, { threads, isa, exact = false }) {
  const held = isa === 'avx2'
  return {
    cwd: held && engine === 'node-llama-cpp' ? folderHeldToAvx2() : folder,
    env: {
      ...process.env,
      BENCH_THREADS: String(threads),
      BENCH_ISA: isa,
      BENCH_STARTED: String(Date.now()),
      ...(held && { ONEDNN_MAX_CPU_ISA: 'AVX2' }),
      ...(exact && { BENCH_EXACT: '1' }),
    },
  }
}

/** What an engine gives for a case, in a new process; null with a reason where it fails or is late. */
export function measure(engine, file, wanted, setting) {
  const [program, script] = ENGINES[engine].times
  const { deadline } = setting
  const { status, error, stdout, stderr } = spawnSync(
    program,
    [script, file, JSON.stringify(wanted)],
    {
      ...settingsOf(engine, setting),
      encoding: 'utf8',
      timeout: deadline * 1000,
      killSignal: 'SIGKILL',
    },
  )
  if (error?.code === 'ETIMEDOUT') return { value: null, why: `no end in ${deadline} s` }
  if (error) throw error
  const lines = stdout.trim().split('\n')
  if (status !== 0) return { value: null, why: reasonIn(stderr.trim().split('\n')) }
  return { value: JSON.parse(lines.at(-1)).value }
}

/** Starts an engine that writes its logits after each token of a text to `rows`; why it ended early, if it did. */
export function startLogits(engine, file, text, setting) {
  const [program, script] = ENGINES[engine].logits
  const child = spawn(program, [script, file, text], {
    ...settingsOf(engine, setting),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const lines = []
  child.stderr.setEncoding('utf8').on('data', (written) => lines.push(...written.split('\n')))
  const reason = new Promise((resolve) => {
    child.on('error', ({ message }) => resolve(message))
    child.on('close', (status) =>
      resolve(`${engine}: ${reasonIn(lines.filter(Boolean)) ?? `ended with ${status}`}`),
    )
  })
  return { rows: child.stdio[3], reason, stop: () => child.kill('SIGKILL') }
}

/** Names what Octavo is made of here, native code and JavaScript: figures of two builds do not mix. */
export function buildOfOctavo() {
  const root = join(here, '../..')
  const scripts = readdirSync(join(root, 'dist'), { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join(root, 'dist', name))
  const hash = createHash('sha256')
  for (const path of [join(root, 'build/Release/octavo.node'), ...scripts.sort()])
    hash.update(readFileSync(path))
  return hash.digest('hex').slice(0, 12)
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
