// npm run bench:peers -- --model MODEL.gguf [--cases single,prefill,batch:8,batch:32] [--rounds 5]
//   [--peers octavo,node-llama-cpp,openvino-genai] [--isa avx2] [--write docs/benchmarks.md]
// Runs every case on Octavo and on its peers, in turn and each in a fresh process with as many threads,
// on the same file and the same token ids (bench/engine.mjs says which). Installs the peers into
// build-peers/ first. Prints medians and ratios; --write makes a page of them.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'build-peers')
const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    cases: { type: 'string', default: 'single,prefill,batch:8,batch:32,batch:128' },
    rounds: { type: 'string', default: '5' },
    peers: { type: 'string', default: 'octavo,node-llama-cpp,openvino-genai' },
    threads: { type: 'string', default: String(availableParallelism()) },
    isa: { type: 'string', default: 'auto' },
    write: { type: 'string' },
  },
})
if (!options.model) throw new TypeError('--model: expected the path of a GGUF file')
const model = resolve(options.model)
const names = options.peers.split(',')
const cases = options.cases.split(',')
const python = join(folder, 'python/bin/python')

const PEERS = {
  octavo: {
    install() {},
    command: (name) => [
      process.execPath,
      [join(root, 'bench/engine.mjs'), model, name].concat(
        `--threads=${options.threads}`,
        `--isa=${options.isa}`,
      ),
    ],
  },
  'node-llama-cpp': {
    install() {
      if (existsSync(join(folder, 'node_modules/node-llama-cpp'))) return
      writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
      run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', 'node-llama-cpp@3'])
    },
    command: (name) => [
      process.execPath,
      [join(root, 'bench/peers/node-llama-cpp.mjs'), model, name],
    ],
  },
  'openvino-genai': {
    install() {
      if (existsSync(python)) return
      run('python3', ['-m', 'venv', 'python'])
      run(python, ['-m', 'pip', 'install', '--quiet', 'openvino-genai==2026.*', 'numpy'])
    },
    command: (name) => [python, [join(root, 'bench/peers/openvino-genai.py'), model, name]],
  },
}

function run(program, args) {
  const environment = { ...process.env, BENCH_THREADS: options.threads }
  if (options.isa === 'avx2') environment.ONEDNN_MAX_CPU_ISA = 'AVX2'
  const settings = { cwd: folder, env: environment, encoding: 'utf8' }
  const { status, error, stdout, stderr } = spawnSync(program, args, settings)
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}`)
  return stdout
}

/** Tokens a second: of the prompt for prefill, else of the output. */
function measure(peer, name) {
  const lines = run(...PEERS[peer].command(name))
    .trim()
    .split('\n')
  const { tokensPerSecond, promptTokensPerSecond } = JSON.parse(lines.at(-1))
  return promptTokensPerSecond ?? tokensPerSecond
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/** The medians of one case, a peer each, and how many times the best peer Octavo is. */
function row(name) {
  const found = Object.fromEntries(names.map((peer) => [peer, []]))
  for (let round = 0; round < Number(options.rounds); round++)
    for (const peer of names) found[peer].push(measure(peer, name))
  const medians = names.map((peer) => median(found[peer]))
  const others = medians.filter((_, i) => names[i] !== 'octavo')
  const ours = medians[names.indexOf('octavo')]
  const ratio = ours !== undefined && others.length > 0 ? ours / Math.max(...others) : undefined
  const cells = [...medians.map((speed) => speed.toFixed(0)), ratio?.toFixed(2) ?? '–']
  console.log([name, ...cells].join('\t'))
  return `| ${[name, ...cells].join(' | ')} |`
}

mkdirSync(folder, { recursive: true })
for (const peer of names) PEERS[peer].install()
const header = ['tokens/s', ...names, 'ratio to the best peer']
console.log(header.join('\t'))
const rows = cases.map(row)
if (options.write) {
  const machine = `${cpus()[0].model}, ${options.threads} threads, isa ${options.isa}`
  const page = [
    '# Octavo beside its peers',
    '',
    `${basename(model)} on ${machine}; medians of ${options.rounds} rounds in turn, by \`npm run bench:peers\`.`,
    '',
    `| ${header.join(' | ')} |`,
    `| ${header.map(() => '---').join(' | ')} |`,
    ...rows,
  ]
  writeFileSync(join(root, options.write), page.join('\n') + '\n')
}
