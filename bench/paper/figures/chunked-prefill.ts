import {
  comparedBars,
  drawBarPanel,
  drawPaperAndOurs,
  type Bar,
  type BarPanel,
} from '../plot/bar-chart.js'
import { drawGrid } from '../plot/grid.js'
import { defineFigure } from '../report/figure.js'
import { shown, within, type Row } from '../report/rows.js'
import { replay } from '../simulation/replay.js'
import type { StepLoad } from '../simulation/step-load.js'
import { TokenTimes } from '../simulation/token-times.js'
import { a6000Seconds, BATCH, batchings, llamaOnA6000, type Batching } from '../systems/sarathi.js'

/** Tokens of a request, and prompt tokens for each one of its output, as in the paper. */
const lengths = [1024, 2048, 3072] as const
const PROMPT_TO_OUTPUT = 50
const REQUESTS = 20 * BATCH

/** SARATHI's gain in throughput over serving whole requests. */
const paperGain = { 1024: 1.33, 2048: 1.26, 3072: 1.22 } as const

type Length = (typeof lengths)[number]

interface Job {
  readonly length: Length
  readonly batching: Batching
}

interface Result extends Job {
  readonly seconds: number
  /** 99th percentile of the seconds from one token to the next. */
  readonly betweenTokens: number
}

export const chunkedPrefill = defineFigure<Job, Result>({
  id: 'sarathi',
  title: 'SARATHI. Prompts in chunks beside decodes',
  about:
    `LLaMA-13B on an A6000, ${BATCH} requests at once, ${PROMPT_TO_OUTPUT} prompt tokens for each output token: ` +
    'the scheduler with chunked prefill, without it, and serving whole requests (arXiv 2308.16369).',
  jobs: () =>
    lengths.flatMap((length) =>
      (Object.keys(batchings) as Batching[]).map((batching) => ({ length, batching })),
    ),
  run(job) {
    const output = Math.round(job.length / (PROMPT_TO_OUTPUT + 1))
    const request = { time: 0, input: job.length - output, output }
    const trace = Array.from({ length: REQUESTS }, () => ({ ...request }))
    const times = new TokenTimes(trace)
    const system = batchings[job.batching]
    const { seconds } = replay({ system, model: llamaOnA6000, trace, afterwards: times.observe })
    return { ...job, seconds, betweenTokens: times.betweenQuantile(0.99) }
  },
  report: (results) => ({
    plot: plot(results),
    rows: [...fittedRows(), ...gainRows(results), ...stallRows(results)],
    notes: [
      'The machine’s constants were fitted to three iteration times of the paper’s Table 2; the gains follow from them and from the scheduler.',
      'A whole prompt beside decodes makes every output wait for it; a chunk does not: that is the time between tokens.',
    ],
  }),
})

const emptyLoad: StepLoad = {
  decodes: 0,
  prefills: 0,
  groups: 0,
  prefillTokens: 0,
  longestPrefill: 0,
  prefillPairs: 0,
  contextTokens: 0,
  swappedIn: 0,
}

function fittedRows(): Row[] {
  const decoding = (decodes: number) => ({ decodes, contextTokens: decodes * 1024 })
  const prefilling = (tokens: number) => ({ prefillTokens: tokens, prefillPairs: tokens ** 2 })
  const row = (name: string, paper: number, load: Partial<StepLoad>) => {
    const ours = 1000 * a6000Seconds({ ...emptyLoad, ...load }, llamaOnA6000)
    return within(0.1, { name, unit: 'ms', paper, ours, kind: 'calibration' })
  }
  return [
    row('step of 1024 prompt tokens', 234.8, prefilling(1024)),
    row('step of 4 decodes', 49.96, decoding(4)),
    row('step of 1021 prompt tokens and 3 decodes', 238.4, { ...prefilling(1021), ...decoding(3) }),
    row('step of 256 prompt tokens', 69.8, prefilling(256)),
    row('step of 257 prompt tokens', 92.3, prefilling(257)),
  ]
}

function gainRows(results: readonly Result[]): Row[] {
  return lengths.map((length) =>
    within(0.15, {
      name: `throughput of chunks over whole requests, ${length} tokens`,
      unit: '×',
      paper: paperGain[length],
      ours: gainOf(results, length),
      kind: 'prediction',
    }),
  )
}

function stallRows(results: readonly Result[]): Row[] {
  return (['prompts', 'chunks'] as const).map((batching) =>
    shown({
      name: `${batchings[batching].label}, 3072 tokens: 99th percentile between tokens`,
      unit: 's',
      paper: null,
      ours: find(results, 3072, batching).betweenTokens,
    }),
  )
}

function gainOf(results: readonly Result[], length: Length): number {
  return find(results, length, 'requests').seconds / find(results, length, 'chunks').seconds
}

function find(results: readonly Result[], length: Length, batching: Batching): Result {
  return results.find((one) => one.length === length && one.batching === batching)!
}

function plot(results: readonly Result[]): string {
  const gains: BarPanel = {
    title: 'Throughput over whole requests',
    y: { label: 'gain (×)', max: 1.6 },
    clusters: lengths.map((length) => ({
      label: `${length} tokens`,
      bars: comparedBars(paperGain[length], gainOf(results, length), '#2363b0', 2),
    })),
  }
  const bar = (length: Length, batching: Batching, colour: string): Bar => {
    const { betweenTokens: value } = find(results, length, batching)
    return { note: value.toFixed(2), segments: [{ value, colour }] }
  }
  const stalls: BarPanel = {
    title: 'Between tokens, 99th percentile: whole prompts, chunks',
    y: { label: 'seconds', max: 1.5 },
    clusters: lengths.map((length) => ({
      label: `${length} tokens`,
      bars: [bar(length, 'prompts', '#c23b4a'), bar(length, 'chunks', '#2363b0')],
    })),
  }
  return drawGrid(
    [gains, stalls].map((panel) => (width, height) => drawBarPanel(panel, width, height)),
    { columns: 2, panelWidth: 400, panelHeight: 250, legend: drawPaperAndOurs },
  )
}
