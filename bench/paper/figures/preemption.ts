import { BlockManager } from '../../../lib/scheduling/block-manager.js'
import type { PreemptionMode } from '../../../lib/scheduling/preemption.js'
import { drawGrid } from '../plot/grid.js'
import { drawLinePanel, type LinePanel } from '../plot/line-chart.js'
import { drawLegend, type Look } from '../plot/looks.js'
import { defineFigure } from '../report/figure.js'
import { between, shown, within, type Row } from '../report/rows.js'
import type { CurvePoint } from '../simulation/curve.js'
import { pythonHost, stepSeconds } from '../simulation/cost-model.js'
import { models } from '../simulation/models.js'
import { makeGroup, replay } from '../simulation/replay.js'
import { systems, type ServingSystem } from '../systems/serving-systems.js'
import { datasetTrace } from '../workload/trace.js'

const blockSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const

/** Milliseconds for one sequence, and seconds a token when serving, by block size: digitised. */
const paper = {
  recompute: [36.3, 37.5, 36.9, 38.8, 38.6, 39.0, 38.3, 38.4, 39.1],
  swap: [137.4, 89.3, 61.0, 47.1, 40.1, 36.6, 34.9, 33.9, 33.4],
  servingRecompute: [2.01, 1.64, 1.62, 0.51, 0.073, 0.063, 0.067, 0.169, 1.12],
  servingSwap: [2.56, 1.97, 1.79, 0.552, 0.072, 0.059, 0.064, 0.119, 0.663],
} as const

/** Tokens of the sequence whose preemption is measured: inferred from the paper's times. */
const TOKENS = 256

/** Seconds to copy a block's tokens and to start a block's copies, each way: fitted to the figure. */
const swapCost = {
  in: { perToken: 17.0e-3 / TOKENS, perBlock: 65e-3 / TOKENS },
  out: { perToken: 15.9e-3 / TOKENS, perBlock: 40e-3 / TOKENS },
}

/** Seconds to compute the sequence again, whatever the block size: fitted likewise. */
const RECOMPUTE = 38.1e-3

/** Not in the paper: a little below what the simulated machine can serve. */
const RATE = 1.65
const DURATION = 600
const HOST_TOKENS = 200_000

type Mode = Exclude<PreemptionMode, 'auto'>

interface Job {
  readonly mode: Mode
  readonly blockSize: number
}

interface Result extends Job {
  /** Of one preemption, in ms. */
  readonly alone: number
  /** Mean normalized latency of a trace, in s/token. */
  readonly serving: number
}

const modes: readonly Mode[] = ['swap', 'recompute']

const modeLooks: Readonly<Record<Mode, Look>> = {
  recompute: { label: 'recomputation', colour: '#c23b4a', shape: 'triangle' },
  swap: { label: 'swapping', colour: '#2363b0', shape: 'circle' },
}

export const preemption = defineFigure<Job, Result>({
  id: 'figure-19',
  title: 'Figure 19. Recomputation and swapping',
  about:
    `OPT-13B. (a) Preempting and resuming one sequence of ${TOKENS} tokens; the copies are those that the ` +
    `block manager lists. (b) Serving ShareGPT at ${RATE} req/s for ${DURATION} s.`,
  jobs: (quick) =>
    modes.flatMap((mode) =>
      (quick ? [16, 32] : blockSizes).map((blockSize) => ({ mode, blockSize })),
    ),
  run: (job) => ({
    ...job,
    alone: 1000 * (job.mode === 'swap' ? swapOnce(job.blockSize) : RECOMPUTE),
    serving: serve(job),
  }),
  report: (results) => ({
    plot: plot(results),
    rows: [...crossoverRows(results), ...results.flatMap(rowsOf)],
    notes: [
      'What copying costs was fitted to (a). (b) has no band: the cost model knows what blocks hold and how they are copied, but not that kernels are slow on very small blocks, which is what lifts the paper’s left ends.',
    ],
  }),
})

/** Seconds to move a sequence's blocks out and in again. */
function swapOnce(blockSize: number): number {
  const numBlocks = TOKENS / blockSize + 1
  const blocks = new BlockManager({ blockSize, numBlocks, hostBlocks: numBlocks })
  const group = makeGroup({ requestId: '', promptTokenIds: new Int32Array(TOKENS), maxTokens: 1 })
  blocks.allocate(group.leader, TOKENS)
  group.leader.computed = TOKENS
  blocks.swapOut(group)
  blocks.swapIn(group)
  return blocks
    .takeCopies()
    .map(({ fromTier, toTier }) => (fromTier > toTier ? swapCost.in : swapCost.out))
    .reduce((sum, { perToken, perBlock }) => sum + blockSize * perToken + perBlock, 0)
}

function serve({ mode, blockSize }: Job): number {
  const model = models['OPT-13B']
  const slots = model.blocks * 16
  const blockSeconds = (way: 'in' | 'out') =>
    blockSize * swapCost[way].perToken + swapCost[way].perBlock
  const system: ServingSystem = {
    ...systems.vllm,
    secondsOf: (load, served) =>
      stepSeconds({ ...load, swappedIn: 0 }, served, pythonHost) +
      load.swappedIn * (blockSeconds('in') + blockSeconds('out')),
  }
  const scheduler = {
    blockSize,
    numBlocks: Math.floor(slots / blockSize) + 1,
    hostBlocks: mode === 'swap' ? HOST_TOKENS / blockSize : 0,
    preemptionMode: mode,
  }
  const trace = datasetTrace('sharegpt', { rate: RATE, duration: DURATION })
  return replay({ system, model, trace, scheduler }).latency.mean
}

/** The largest block for which computing again is the faster way, and its disadvantage with the largest. */
function crossoverRows(results: readonly Result[]): Row[] {
  const times = (mode: Mode) => results.filter((one) => one.mode === mode).map(({ alone }) => alone)
  const [swap, recompute] = [times('swap'), times('recompute')]
  if (swap.length < blockSizes.length) return []
  const last = blockSizes.findLastIndex((_, i) => recompute[i]! < swap[i]!)
  const crossover = { name: '(a) recomputation is faster up to blocks of', unit: 'tokens' }
  const most = Math.max(...recompute.map((time, i) => 100 * (time / swap[i]! - 1)))
  const excess = { name: '(a) recomputation takes at most so much longer', unit: '%' }
  return [
    between(16, 16, { ...crossover, paper: 16, ours: blockSizes[last]!, kind: 'calibration' }),
    between(-Infinity, 20, { ...excess, paper: 17, ours: most, kind: 'calibration' }),
  ]
}

function rowsOf({ mode, blockSize, alone, serving }: Result): Row[] {
  const at = (blockSizes as readonly number[]).indexOf(blockSize)
  const { label } = modeLooks[mode]
  const served = mode === 'swap' ? paper.servingSwap : paper.servingRecompute
  const one = { name: `(a) ${label}, blocks of ${blockSize}`, unit: 'ms', paper: paper[mode][at]! }
  const many = { name: `(b) ${label}, blocks of ${blockSize}`, unit: 's/token', paper: served[at]! }
  return [
    ...(mode === 'swap' ? [within(0.1, { ...one, ours: alone, kind: 'calibration' })] : []),
    shown({ ...many, ours: serving }),
  ]
}

function plot(results: readonly Result[]): string {
  const x = { label: 'block size (tokens)', min: 1, max: 256, doubling: true }
  const points = (values: readonly number[]) =>
    values.map((y, i): CurvePoint => [blockSizes[i]!, y])
  const ours = (mode: Mode, of: (result: Result) => number) =>
    results.filter((one) => one.mode === mode).map((one): CurvePoint => [one.blockSize, of(one)])
  const panel = (
    title: string,
    y: LinePanel['y'],
    of: (result: Result) => number,
    ofPaper: Readonly<Record<Mode, readonly number[]>>,
  ): LinePanel => ({
    title,
    x,
    y,
    series: modes.flatMap((mode) => [
      { look: modeLooks[mode], points: points(ofPaper[mode]), paper: true },
      { look: modeLooks[mode], points: ours(mode, of) },
    ]),
  })
  const panels = [
    panel('(a) one sequence', { label: 'time (ms)', max: 150 }, ({ alone }) => alone, paper),
    panel(
      '(b) serving ShareGPT',
      { label: 'normalized latency (s/token)', max: 2.5 },
      ({ serving }) => serving,
      { swap: paper.servingSwap, recompute: paper.servingRecompute },
    ),
  ]
  return drawGrid(
    panels.map((one) => (width, height) => drawLinePanel(one, width, height)),
    {
      columns: 2,
      panelWidth: 400,
      panelHeight: 250,
      legend: (width, y) => drawLegend(Object.values(modeLooks), width, y),
    },
  )
}
