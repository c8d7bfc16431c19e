import type { Dataset } from '../data/lengths.js'
import { comparedBars, drawBarPanel, drawPaperAndOurs, type BarPanel } from '../plot/bar-chart.js'
import { drawGrid } from '../plot/grid.js'
import { defineFigure } from '../report/figure.js'
import { shown, within, type Row } from '../report/rows.js'
import { BEAM_CHANGE, BEAM_STATE, BeamForks } from '../simulation/beam-forks.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { SharingRecord } from '../simulation/sharing-record.js'
import { systems } from '../systems/serving-systems.js'
import { Random } from '../workload/random.js'
import { datasetTrace, type TraceRequest } from '../workload/trace.js'

type Method = 'parallel' | 'beam'

interface Job {
  readonly method: Method
  readonly dataset: Dataset
  readonly outputs: number
}

interface Result extends Job {
  readonly saving: number
}

const paper = {
  parallel: { 2: 6.09, 4: 8.53, 6: 9.79 },
  beam: { 2: 37.56, 4: 53.13, 6: 55.16 },
} as const

/** The text gives a range over the numbers of outputs. */
const sharegptRange = { parallel: [16.2, 30.5], beam: [44.3, 66.3] } as const

const outputCounts = [6, 4, 2] as const
const SECONDS = 900
const parallelRate = { alpaca: 20, sharegpt: 4 }
/** Beam searches are played one after the other: this many requests, so far apart. */
const beamRequests = { alpaca: 400, sharegpt: 200 }
const ALONE = 10_000

export const memorySaving = defineFigure<Job, Result>({
  id: 'figure-15',
  title: 'Figure 15. Memory saved by sharing blocks',
  about:
    'OPT-13B: blocks saved, in % of those that the outputs of all requests would need without sharing.',
  jobs(quick) {
    const jobs = (dataset: Dataset, method: Method, counts: readonly number[] = outputCounts) =>
      counts.map((outputs): Job => ({ dataset, method, outputs }))
    if (quick) return [...jobs('alpaca', 'beam'), ...jobs('alpaca', 'parallel', [2])]
    return [
      ...jobs('sharegpt', 'beam'),
      ...jobs('alpaca', 'beam'),
      ...jobs('sharegpt', 'parallel'),
      ...jobs('alpaca', 'parallel'),
    ]
  },
  run: (job) => ({ ...job, saving: job.method === 'beam' ? searchAlone(job) : sample(job) }),
  report: (results) => ({
    plot: plot(results),
    rows: results.map(rowOf),
    notes: [
      `No model says which beams go on: each descends from the one in its place or, with probability ${BEAM_CHANGE}, from any. That number was fitted to the bars of beam search; ShareGPT’s real beams part from each other earlier.`,
    ],
  }),
})

function sample({ dataset, outputs }: Job): number {
  const record = new SharingRecord()
  replay({
    system: systems.vllm,
    model: models['OPT-13B'],
    trace: datasetTrace(dataset, { rate: parallelRate[dataset], duration: SECONDS }),
    outputs,
    limit: SECONDS,
    observe: record.observe,
  })
  return record.saving
}

function searchAlone({ dataset, outputs }: Job): number {
  const record = new SharingRecord()
  const requests = datasetTrace(dataset, { rate: 1, duration: beamRequests[dataset], seed: 3 })
  replay({
    system: systems.vllm,
    model: models['OPT-13B'],
    trace: requests.map((request, i): TraceRequest => ({ ...request, time: i * ALONE })),
    outputs,
    beams: new BeamForks(BEAM_CHANGE, new Random(BEAM_STATE)),
    observe: record.observe,
  })
  return record.saving
}

function rowOf({ method, dataset, outputs, saving }: Result): Row {
  const what = method === 'beam' ? 'beams' : 'samples'
  if (dataset === 'sharegpt') {
    const [low, high] = sharegptRange[method]
    const name = `ShareGPT, ${outputs} ${what} (paper: ${low} to ${high} % over all widths)`
    return shown({ name, unit: '%', paper: null, ours: saving })
  }
  const row = {
    name: `Alpaca, ${outputs} ${what}`,
    unit: '%',
    paper: paper[method][outputs as 2 | 4 | 6],
    ours: saving,
  }
  return method === 'beam'
    ? within(0.05, { ...row, kind: 'calibration' })
    : within(0.25, { ...row, kind: 'prediction' })
}

function plot(results: readonly Result[]): string {
  const panel = (method: Method, title: string, max: number, colour: string): BarPanel => ({
    title,
    y: { label: 'memory saving (%)', max },
    clusters: results
      .filter((one) => one.method === method && one.dataset === 'alpaca')
      .sort((a, b) => a.outputs - b.outputs)
      .map(({ outputs, saving }) => {
        const bars = comparedBars(paper[method][outputs as 2 | 4 | 6], saving, colour)
        return { label: String(outputs), bars }
      }),
  })
  const panels = [
    panel('parallel', '(a) parallel sampling, Alpaca', 14, '#2363b0'),
    panel('beam', '(b) beam search, Alpaca', 70, '#2363b0'),
  ]
  return drawGrid(
    panels.map((one) => (width, height) => drawBarPanel(one, width, height)),
    { columns: 2, panelWidth: 340, panelHeight: 250, legend: drawPaperAndOurs },
  )
}
