// node scripts/cuda-table.mjs [FOLDER]      Writes the table of hot kernels into docs/cuda.md.
//
// Registers come from what ptxas said in FOLDER, build-cuda-test by default (test/slow/90 builds it for sm_90), threads and
// shared memory from launches in build-emulated/ (test/slow/91 builds it).
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { hotKernels } from './lib/hot-kernels.mjs'
import { kernelsOf } from './lib/ptxas.mjs'
import { root } from './lib/run.mjs'

const page = join(root, 'docs/cuda.md')
const [begin, end] = ['<!-- hot kernels -->', '<!-- end of hot kernels -->']

/** What a multiprocessor of sm_90 has. */
const sm90 = { registers: 65536, shared: 228 * 1024, warps: 64, blocks: 32 }
const REGISTERS_AT_ONCE = 256 // a warp's are allocated in such portions
const SHARED_OF_SYSTEM = 1024 // bytes of each block

const compiled = kernelsOf(join(root, process.argv[2] ?? 'build-cuda-test')).filter(
  ({ architecture }) => architecture === '90',
)
const launches = execFileSync(join(root, 'build-emulated/csrc/cuda/octavo-launches'), {
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))

function row({ title, symbol, shape, bytes, operations, roof, why }) {
  const { registers, shared: fixed } = compiled.find((kernel) => symbol.test(kernel.symbol))
  const launch = launches.find((other) => other.title === title)
  const { threads, blocks } = launch
  const shared = launch.shared + fixed
  const warps = threads / 32
  const ofWarp = Math.ceil((registers * 32) / REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE
  const together = Math.min(
    Math.floor(Math.floor(sm90.registers / ofWarp) / warps),
    Math.floor(sm90.shared / (shared + SHARED_OF_SYSTEM)),
    Math.floor(sm90.warps / warps),
    sm90.blocks,
  )
  const occupancy = Math.round((100 * together * warps) / sm90.warps)
  return [
    `${title}: ${shape}`,
    `${blocks.toLocaleString('en')} × ${threads}`,
    registers,
    (shared / 1024).toFixed(1),
    `${together} (${occupancy} %)`,
    (bytes / 1e6).toFixed(1),
    (operations / 1e9).toFixed(1),
    `${roof}: ${why}`,
  ]
}

const header = [
  'kernel and launch',
  'blocks × threads',
  'registers',
  'shared, KiB',
  'blocks a multiprocessor (warps)',
  'MB moved',
  'GFLOP',
  'designed for',
]
const rows = [header, header.map(() => '---'), ...hotKernels.map(row)]
const table = rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n')

const text = readFileSync(page, 'utf8')
const [before, rest] = text.split(begin)
const [, after] = rest.split(end)
const options = { ...(await resolveConfig(page)), parser: 'markdown' }
const written = await format(`${before}${begin}\n\n${table}\n\n${end}${after}`, options)
writeFileSync(page, written)
