// node scripts/gpu-check-data.mjs [--out FOLDER] [--tests PATTERN] [--models PREFIX] | --engine ADDON
//
// Records what scripts/gpu-check runs where there is no Node. OUT, build-gpu-check/data by default, gets cases/ (the tests
// of the CUDA kernels, as the emulator passed them; PATTERN chooses some), models/ (fixtures whose names begin so, by default
// llama, mixtral and deepseek-v2-lite, as the emulator computes them) and plans/ of the benchmarks. OUT.tar.gz is all of it,
// to be carried to another machine.
//
// --engine packs what that machine needs besides to run the engine itself, in build-gpu-check/engine.tar.xz: this Node, dist/,
// the packages that it imports, and the addon, that of build-cuda/Release. With it go the programs that were built beside
// it, for a machine that cannot build.
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { buildPlan, readModelConfig } from '../dist/models/registry.js'
import { printPlan } from '../dist/plan/text.js'
import { root, runQuietly } from './lib/run.mjs'

const { values: options } = parseArgs({
  options: {
    ...{ out: { type: 'string' }, tests: { type: 'string' }, models: { type: 'string' } },
    engine: { type: 'string' },
  },
})
if (options.engine) {
  packEngine(resolve(options.engine))
  process.exit()
}
const out = resolve(root, options.out ?? 'build-gpu-check/data')
rmSync(out, { recursive: true, force: true })
for (const folder of ['cases', 'models', 'plans']) mkdirSync(join(out, folder), { recursive: true })

recordCases()
recordModels()
writePlans()
pack()

function pack() {
  const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root })
  writeFileSync(join(out, 'commit'), stdout ?? '')
  const file = `${out}.tar.gz`
  runQuietly('Packing', 'tar', ['-czf', file, '-C', dirname(out), basename(out)])
  const now = new Date()
  utimesSync(out, now, now) // no older than the file: gpu-check would unpack it again
  const cases = readdirSync(join(out, 'cases')).length
  console.log(`${relative(process.cwd(), file)}: ${cases} cases, ${mebibytes(file)} MiB`)
}

function packEngine(addon) {
  const file = join(root, 'build-gpu-check/engine.tar.xz')
  mkdirSync(dirname(file), { recursive: true })
  const listed = runQuietly('Finding packages', 'npm', ['ls', '--omit=dev', '--all', '--parseable'])
  const packages = listed.split('\n').filter((path) => path.includes('node_modules'))
  const paths = ['package.json', 'dist', ...new Set(packages.map((path) => relative(root, path)))]
  const from = (path) => ['-C', dirname(path), basename(path)]
  const place = `s,^${basename(addon)}$,build-cuda/Release/octavo.node,;s,^,engine/,`
  const names = ['--transform', place, '--exclude', '*.map', '--exclude', '*.d.ts']
  const build = join(dirname(addon), '..')
  const programs = ['octavo-replay', 'csrc/cuda/octavo-bench-gpu'].map((path) => join(build, path))
  const files = [addon, process.execPath, ...programs.filter(existsSync)]
  const sources = ['-C', root, ...paths, ...files.flatMap(from)]
  runQuietly('Packing', 'tar', ['-cJhf', file, ...names, ...sources])
  console.log(`${relative(process.cwd(), file)}: ${mebibytes(file)} MiB`)
}

function mebibytes(file) {
  return (statSync(file).size / 2 ** 20).toFixed(1)
}

function recordCases() {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const files = [91, 92, 96, 98, 99].map((number) => `test/slow/${number}`)
  const args = [vitest, 'run', '--project', 'slow', ...files]
  if (options.tests !== undefined) args.push('-t', options.tests)
  const env = { ...process.env, OCTAVO_RECORD_CASES: join(out, 'cases') }
  runQuietly('Recording the tests of kernels', process.execPath, args, { env })
}

function recordModels() {
  const fixtures = join(root, 'test/fixtures/models')
  const prefixes = options.models ? [options.models] : ['llama', 'mixtral', 'deepseek-v2-lite']
  const names = readdirSync(fixtures).filter((name) =>
    prefixes.some((prefix) => name.startsWith(prefix)),
  )
  for (const name of names)
    for (const dtype of ['float32', 'bfloat16', 'float16']) {
      const env = {
        ...process.env,
        OCTAVO_ADDON: join(root, 'scripts/lib/recording-addon.cjs'),
        OCTAVO_RECORDED_ADDON: join(root, 'build-emulated/Release/octavo.node'),
        OCTAVO_RECORDING: join(out, 'models', `${name}-${dtype}`),
      }
      const args = [join(root, 'scripts/lib/record-model.mjs'), join(fixtures, name), dtype]
      runQuietly(`Recording ${name} in ${dtype}`, process.execPath, args, { env })
    }
}

function writePlans() {
  const llama = (hidden, middle, layers, heads, kvHeads, vocab) => ({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: middle,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocab,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    rope_theta: 500000,
    hidden_act: 'silu',
    torch_dtype: 'bfloat16',
  })
  const write = (name, config, rows) => {
    const types = { weightType: 'bfloat16', cacheType: 'bfloat16', addsOffsets: true }
    const plan = buildPlan(readModelConfig(config, name), types)
    const limits = { tokens: rows, sequences: rows, samples: rows }
    writeFileSync(join(out, 'plans', `${name}.txt`), printPlan(plan, limits))
  }
  write('8b', llama(4096, 14336, 32, 32, 8, 128256), 64)
  write('toy', llama(256, 384, 2, 4, 1, 300), 2)
}
