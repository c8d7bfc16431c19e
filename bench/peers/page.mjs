// The page of bench/peers.mjs: tables and pictures of what was measured so far.
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { table, writeMarkdown } from '../markdown.mjs'
import { load } from '../measured/run.mjs'
import { barsOf } from './bars.mjs'
import { contextSeries } from './context.mjs'
import { versions } from './engines.mjs'
import {
  ACCURACY_HEAD,
  accuracyCellsOf,
  accuracyOf,
  cellsOf,
  roundsOf,
  rowsOf,
} from './results.mjs'

const COLOURS = { octavo: '#2f6f5e', 'node-llama-cpp': '#d9a441', 'openvino-genai': '#6f83b5' }
const here = fileURLToPath(new URL('.', import.meta.url))

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

const HELD = `every engine held to AVX2: Octavo by \`isa\`, node-llama-cpp by llama.cpp's library for Haswell alone, OpenVINO by \`ONEDNN_MAX_CPU_ISA=AVX2\`, float32 inference and no dynamic quantisation, as its plugin chooses by itself where a processor has AVX2 alone. Only OpenVINO's products are held so; its attention may use what the processor has`

/** Writes the page, and the pictures beside it. */
export async function writePage(path, results, engines, options) {
  const rows = rowsOf(results, engines)
  const accuracies = accuracyOf(results)
  const cases = [
    ...rows.map(({ name }) => name),
    ...accuracies.map(({ tokens }) => `accuracy:${tokens}`),
  ]
  const version = versions()
  const nameOf = (engine) => `${engine} ${version[engine]}`
  const sections = [
    speedSection(path, rows, engines, nameOf, options),
    await contextSection(path, rows, engines, options.model),
    accuracySection(accuracies, nameOf),
  ]
  const isa = options.isa === 'auto' ? 'every engine with its best instructions' : HELD
  const model = basename(options.model)
  await writeMarkdown(
    path,
    `# Octavo beside its peers

\`${model}\` and the same model at other widths, on ${cpus()[0].model.trim()} (${machineClass()}), ${options.threads} threads, ${isa}. The engines took turns, each measurement in a new process: ${roundsOf(rows, engines)}.

${sections.filter(Boolean).join('\n\n')}

The files of 8 and 16 bits are made from the 4-bit one by bench/peers/requantize-gguf.py; OpenVINO GenAI gets F16 where the others get BF16. The processor belongs to a virtual machine, whose neighbours may disturb a measurement.

Measured by

\`\`\`sh
npm run bench:peers -- --model ${model} --isa ${options.isa} --cases ${[...new Set(cases)].join(',')} --deadline ${options.deadline} --write docs/${basename(path)}
\`\`\`
`,
  )
}

function speedSection(path, rows, engines, nameOf, { deadline }) {
  // One context is long enough to be compared; the others are the next section's.
  const compared = rows.filter(
    ({ name }) => !name.startsWith('context:') || name === 'context:4096',
  )
  const shown = compared.filter(({ name }) => name !== 'load')
  if (compared.length === 0) return ''
  const picture = path.replace(/\.md$/, '.svg')
  writeFileSync(picture, barsOf(shown, engines, COLOURS))
  return `Tokens a second, \`load\` in milliseconds; the ratio is Octavo's to the better peer. The cases are explained in bench/peers/cases.mjs. A dash stands where an engine failed or did not end in ${deadline} seconds, nothing where it was not asked.

${table(
  ['bits', 'case', ...engines.map(nameOf), 'ratio'],
  compared.map((row) => cellsOf(row, engines)),
)}

![Tokens a second in each case, a bar an engine](${basename(picture)})`
}

async function contextSection(path, rows, engines, model) {
  const series = contextSeries(rows, engines, model).filter(({ points }) => points.length > 1)
  if (series.length === 0) return ''
  const picture = path.replace(/\.md$/, '-context.svg')
  const { contextPlot } = await load(join(here, 'context-plot.ts'))
  writeFileSync(picture, contextPlot(series, COLOURS))
  const lengths = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))]
  lengths.sort((a, b) => a - b)
  const head = ['bits', 'engine', ...lengths.map((at) => at.toLocaleString('en'))]
  return `## Time per token against context

Microseconds a token of one sequence, in the middle of 64 tokens after a prompt: the columns are tokens in the context. The slope is that of the line with the least squares, in microseconds for another 1,000 tokens; with the bytes of keys and values that an engine keeps of a token by default (Octavo and node-llama-cpp 16 bits a number, OpenVINO 8 bits with its scales), it means so many GB read a second.

${table(
  [...head, 'slope', 'GB/s'],
  series.map(({ bits, engine, points, slope, bytesPerSecond }) => [
    String(bits),
    engine,
    ...lengths.map((at) => points.find(([x]) => x === at)?.[1].toFixed(0) ?? '–'),
    (slope * 1000).toFixed(0),
    (bytesPerSecond / 1e9).toFixed(1),
  ]),
)}

![Milliseconds a token against tokens in the context, a line an engine](${basename(picture)})`
}

function accuracySection(accuracies, nameOf) {
  if (accuracies.length === 0) return ''
  const exact = accuracies.map((found) => found.exactPerplexity.toFixed(4))
  return `## Accuracy

The next-token distributions of each engine after every token of the same text (bench/text/pages.txt, in chunks of 500 tokens), as prompts. They are compared with those of the 4-bit file's weights dequantised to float32, which Octavo computes with float32 inputs of every product and a float32 cache: perplexity ${[...new Set(exact)].join(' or ')}. So a figure holds what a width's weights lose beside the 4-bit ones and what an engine's own arithmetic does. KL is the divergence of the engine's distribution from the exact one. GenAI 2026.4 reads Q4_1 with each group's minimum rounded to a whole code, which its figures at 4 bits show. node-llama-cpp's logits come from \`controlledEvaluate\`; OpenVINO GenAI's pipelines give none, so that its model is saved and run by OpenVINO itself, with GenAI's settings.

${table(
  ACCURACY_HEAD,
  accuracies.map((found) => accuracyCellsOf(found, nameOf)),
)}`
}
