// Medians and ratios of bench/peers.mjs: as lines, as a page of Markdown and as a picture.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename } from 'node:path'
import { versions } from './engines.mjs'

const COLOURS = { octavo: '#2f6f5e', 'node-llama-cpp': '#d9a441', 'openvino-genai': '#6f83b5' }

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const [low, high] = [Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2)]
  return (sorted[low] + sorted[high]) / 2
}

/** A row a width and case: medians by engine, and how many times the best peer Octavo is. */
export function rowsOf(results, engines) {
  const rows = new Map()
  for (const { engine, bits, case: name, value } of results) {
    const key = `${bits} ${name}`
    if (!rows.has(key)) rows.set(key, { bits, name, found: {} })
    if (value !== null) (rows.get(key).found[engine] ??= []).push(value)
  }
  return [...rows.values()].map(({ bits, name, found }) => {
    const medians = Object.fromEntries(Object.entries(found).map(([e, all]) => [e, median(all)]))
    const rounds = Math.min(...Object.values(found).map((all) => all.length))
    const others = engines.filter((e) => e !== 'octavo' && e in medians).map((e) => medians[e])
    const less = name === 'load' // of time
    const best = less ? Math.min(...others) : Math.max(...others)
    const ratio = others.length > 0 && 'octavo' in medians ? medians.octavo / best : NaN
    return { bits, name, medians, rounds, ratio: less ? 1 / ratio : ratio }
  })
}

const digits = (value) => (value === undefined ? '–' : value.toFixed(0))
const cellsOf = ({ bits, name, medians, ratio }, engines) => [
  String(bits),
  name === 'load' ? 'load (ms)' : name,
  ...engines.map((engine) => digits(medians[engine])),
  Number.isNaN(ratio) ? '–' : ratio.toFixed(2),
]

export function printTable(results, engines) {
  console.log(['bits', 'case', ...engines, 'ratio'].join('\t'))
  for (const row of rowsOf(results, engines)) console.log(cellsOf(row, engines).join('\t'))
}

/** What the processor can do, by the flags that matter here. */
function machineClass() {
  let flags = ''
  try {
    flags = readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    // Only Linux has it.
  }
  const known = ['avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_int8']
  return known.filter((flag) => new RegExp(`\\b${flag}\\b`).test(flags)).join(', ')
}

export function writePage(path, results, engines, options) {
  const rows = rowsOf(results, engines)
  const picture = path.replace(/\.md$/, '.svg')
  const version = versions()
  const named = engines.map((engine) => `${engine} ${version[engine]}`)
  const counts = rows.map((row) => row.rounds)
  const rounds = [...new Set([Math.min(...counts), Math.max(...counts)])].join(' to ')
  writeFileSync(picture, plotOf(rows, engines))
  const line = (cells) => `| ${cells.join(' | ')} |`
  const isa =
    options.isa === 'auto' ? 'every engine with its best instructions' : `held to ${options.isa}`
  writeFileSync(
    path,
    `# Octavo beside its peers

\`${basename(options.model)}\` and the same model at other widths, on ${cpus()[0].model.trim()} (${machineClass()}), ${options.threads} threads, ${isa}. The engines took turns, each measurement in a new process: medians of ${rounds} rounds.

Tokens a second, \`load\` in milliseconds; the ratio is Octavo's to the better peer. The cases are explained in bench/peers/cases.mjs. A dash stands where an engine failed or did not end in ${options.deadline} seconds.

${line(['bits', 'case', ...named, 'ratio'])}
${line(['bits', 'case', ...named, 'ratio'].map(() => '---'))}
${rows.map((row) => line(cellsOf(row, engines))).join('\n')}

![Tokens a second in each case, a bar an engine](${basename(picture)})

The files of 8 and 16 bits are made from the 4-bit one by bench/peers/requantize-gguf.py; OpenVINO GenAI gets F16 where the others get BF16. The processor belongs to a virtual machine, whose neighbours may disturb a measurement.

Measured by

\`\`\`sh
npm run bench:peers -- --model ${basename(options.model)} --isa ${options.isa} --cases ${options.cases} --write docs/benchmarks.md
\`\`\`
`,
  )
}

/** Bars of each case on its own scale, one panel a width. */
function plotOf(rows, engines) {
  const shown = rows.filter(({ name }) => name !== 'load')
  const [left, width, bar] = [110, 420, 11]
  const widths = [...new Set(shown.map(({ bits }) => bits))]
  const height = engines.length * bar + 9
  const most = Math.max(...widths.map((bits) => shown.filter((row) => row.bits === bits).length))
  const panels = widths.map((bits, column) => {
    const x = column * (left + width / 2 + 70)
    const groups = shown
      .filter((row) => row.bits === bits)
      .map((row, i) => {
        const largest = Math.max(...Object.values(row.medians))
        const bars = engines.map((engine, j) => {
          const value = row.medians[engine] ?? 0
          const length = ((value / largest) * width) / 2
          const y = 70 + i * height + j * bar
          const text = row.medians[engine] === undefined ? 'not measured' : digits(value)
          return (
            `<rect x="${x + left}" y="${y}" width="${length.toFixed(1)}" height="${bar - 2}" fill="${COLOURS[engine]}"/>` +
            `<text x="${(x + left + length + 5).toFixed(1)}" y="${y + 8}" font-size="10">${text}</text>`
          )
        })
        const label = `<text x="${x + left - 8}" y="${70 + i * height + height / 2}" text-anchor="end">${row.name}</text>`
        return label + bars.join('')
      })
    return `<text x="${x + left}" y="56" font-weight="600">${bits} bits</text>${groups.join('')}`
  })
  const legend = engines.map(
    (engine, i) =>
      `<rect x="${20 + i * 150}" y="16" width="12" height="12" fill="${COLOURS[engine]}"/><text x="${38 + i * 150}" y="26">${engine}</text>`,
  )
  const total = widths.length * (left + width / 2 + 70)
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${total}" height="${80 + most * height}" font-family="system-ui, sans-serif" font-size="12">` +
    `<rect width="100%" height="100%" fill="#fff"/>${legend.join('')}${panels.join('')}</svg>\n`
  )
}
