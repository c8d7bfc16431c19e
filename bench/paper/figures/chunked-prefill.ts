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
import { chatbotTrace, type TraceRequest } from '../workload/trace.js'

/** Tokens of a request, and prompt tokens for each one of its output, as in the paper. */
const lengths = [1024, 2048, 3072] as const
const PROMPT_TO_OUTPUT = 50
const REQUESTS = 20 * BATCH

/** SARATHI's gain in throughput over serving whole requests. */
const paperGain = { 1024: 1.33, 2048: 1.26, 3072: 1.22 } as const

type Length = (typeof lengths)[number]

/** Requests that come and go: a rate in req/s near what the machine can serve, and how many run at once. */
const TRAFFIC = { rate: 0.4, duration: 1800 }
const TRAFFIC_BATCH = 32

/** Equal requests of a length that wait from the start, or a chatbot's as they come. */
type Workload = Length | 'traffic'

interface Job {
  readonly workload: Workload
  readonly batching: Batching
}

interface Result extends Job {
  readonly seconds: number
  /** 99th percentile of the seconds from one token to the next, and the median to the first one. */
  readonly betweenTokens: number
  readonly firstToken: number
}

export const chunkedPrefill = defineFigure<Job, Result>({
  id: 'sarathi',
  title: 'SARATHI. Prompts in chunks beside decodes',
  about:
    `LLaMA-13B on an A6000 (arXiv 2308.16369). Left: ${BATCH} requests at once, ${PROMPT_TO_OUTPUT} prompt tokens for each ` +
    `output token, served as whole requests or in chunks. Right: Figure 17’s chatbot at ${TRAFFIC.rate} req/s, prompts whole or in chunks.`,
  jobs: () => [
    { workload: 'traffic', batching: 'prompts' },
    { workload: 'traffic', batching: 'chunks' },
    ...lengths.flatMap((workload): Job[] => [
      { workload, batching: 'requests' },
      { workload, batching: 'chunks' },
    ]),
  ],
  run(job) {
    const isTraffic = job.workload === 'traffic'
    const trace = isTraffic ? chatbotTrace(TRAFFIC) : equalRequests(job.workload)
    const times = new TokenTimes(trace)
    const { seconds } = replay({
      system: batchings[job.batching],
      model: llamaOnA6000,
      trace,
      scheduler: isTraffic ? { maxNumSeqs: TRAFFIC_BATCH, maxSamples: TRAFFIC_BATCH } : {},
      afterwards: times.observe,
    })
    const betweenTokens = times.betweenQuantile(0.99)
    return { ...job, seconds, betweenTokens, firstToken: times.firstQuantile(0.5) }
  },
  report: (results) => ({
    plot: plot(results),
    rows: [...fittedRows(), ...gainRows(results), ...stallRows(results)],
    notes: [
      'The machine’s constants were fitted to iteration times of the paper’s Table 2; the gains follow from them and from the scheduler.',
      'For 2048 and 3072 tokens the batch and the ratio of prompt to output are taken to be those of 1024.',
      'Beside a whole prompt every output waits until it is computed; a chunk bounds that wait.',
    ],
  }),
})

function equalRequests(length: Length): TraceRequest[] {
  const output = Math.round(length / (PROMPT_TO_OUTPUT + 1))
  return Array.from({ length: REQUESTS }, () => ({ time: 0, input: length - output, output }))
}

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
      kind: length === 1024 ? 'prediction' : 'guess',
    }),
  )
}

function stallRows(results: readonly Result[]): Row[] {
  return (['prompts', 'chunks'] as const).flatMap((batching) => {
    const { betweenTokens, firstToken } = find(results, 'traffic', batching)
    const name = (what: string) => `chatbot, ${batchings[batching].label}: ${what}`
    const unit = 's'
    return [
      shown({ name: name('between tokens, 99 %'), unit, paper: null, ours: betweenTokens }),
      shown({ name: name('to the first token, median'), unit, paper: null, ours: firstToken }),
    ]
  })
}

function gainOf(results: readonly Result[], length: Length): number {
  return find(results, length, 'requests').seconds / find(results, length, 'chunks').seconds
}

function find(results: readonly Result[], workload: Workload, batching: Batching): Result {
  return results.find((one) => one.workload === workload && one.batching === batching)!
}

function plot(results: readonly Result[]): string {
  const colour = '#2363b0'
  const gains: BarPanel = {
    title: 'Throughput of chunks over whole requests',
    y: { label: 'gain (×)', max: 1.6 },
    clusters: lengths.map((length) => ({
      label: `${length} tokens`,
      bars: comparedBars(paperGain[length], gainOf(results, length), colour, 2),
    })),
  }
  const stalls: BarPanel = {
    title: 'Time between tokens, 99th percentile',
    y: { label: 'seconds', max: 0.5 },
    clusters: (['prompts', 'chunks'] as const).map((batching) => {
      const { betweenTokens: value } = find(results, 'traffic', batching)
      const bar: Bar = { note: value.toFixed(2), segments: [{ value, colour }] }
      return { label: batchings[batching].label, bars: [bar] }
    }),
  }
  return drawGrid(
    [gains, stalls].map((panel) => (width, height) => drawBarPanel(panel, width, height)),
    { columns: 2, panelWidth: 400, panelHeight: 250, legend: drawPaperAndOurs },
  )
}
