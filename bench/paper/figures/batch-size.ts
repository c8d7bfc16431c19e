import type { Dataset } from '../data/lengths.js'
import { comparedBars, drawBarPanel, drawPaperAndOurs, type BarPanel } from '../plot/bar-chart.js'
import { drawGrid } from '../plot/grid.js'
import { looks } from '../plot/looks.js'
import { defineFigure } from '../report/figure.js'
import { shown, within, type Row } from '../report/rows.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems } from '../systems/serving-systems.js'
import { datasetTrace } from '../workload/trace.js'

const compared = ['orca-max', 'orca-pow2', 'orca-oracle', 'vllm'] as const
type Compared = (typeof compared)[number]

const traces = {
  sharegpt: {
    title: '(a) ShareGPT, 2 req/s',
    rate: 2,
    paper: { 'orca-max': 7, 'orca-pow2': 9.81, 'orca-oracle': 13.62, vllm: 30.42 },
  },
  alpaca: {
    title: '(b) Alpaca, 30 req/s',
    rate: 30,
    paper: { 'orca-max': 7, 'orca-pow2': 43.24, 'orca-oracle': 72.75, vllm: 132.44 },
  },
} as const

interface Job {
  readonly dataset: Dataset
  readonly system: Compared
  readonly rate: number
}

interface Result extends Job {
  readonly batch: number
}

const DURATION = 3600

export const batchSize = defineFigure<Job, Result>({
  id: 'figure-13',
  title: 'Figure 13. Requests in a batch',
  about: 'OPT-13B. Mean number of requests in a step, over traces of one hour.',
  jobs(quick) {
    const job = (dataset: Dataset, system: Compared, rate: number = traces[dataset].rate): Job => ({
      dataset,
      system,
      rate,
    })
    const sharegpt = compared.map((system) => job('sharegpt', system))
    if (quick) return sharegpt
    const alpaca = compared.map((system) => job('alpaca', system))
    return [...alpaca, ...sharegpt, job('alpaca', 'vllm', 27), job('sharegpt', 'vllm', 1.8)]
  },
  run(job) {
    const trace = datasetTrace(job.dataset, { rate: job.rate, duration: DURATION })
    const { batch } = replay({ system: systems[job.system], model: models['OPT-13B'], trace })
    return { ...job, batch }
  },
  report: (results) => ({
    plot: plot(results),
    rows: results.map(rowOf),
    notes: [
      '30 req/s of Alpaca lie just above what the simulated machine can serve, so the batch grows until memory is full; the paper’s bar fills two thirds of its pool. At 27 req/s the batches agree.',
    ],
  }),
})

function rowOf({ dataset, system, rate, batch }: Result): Row {
  const row = {
    name: `${systems[system].label}, ${dataset}, ${rate} req/s`,
    unit: 'requests',
    paper: traces[dataset].paper[system],
    ours: batch,
  }
  if (rate !== traces[dataset].rate || (dataset === 'alpaca' && system === 'vllm'))
    return shown(row)
  return within(system === 'vllm' ? 0.15 : 0.03, { ...row, kind: 'prediction' })
}

function plot(results: readonly Result[]): string {
  const panels = Object.entries(traces).map(([dataset, { title, rate, paper }]): BarPanel => ({
    title,
    y: { label: 'batched requests', max: dataset === 'alpaca' ? 200 : 40 },
    clusters: results
      .filter((result) => result.dataset === dataset && result.rate === rate)
      .map(({ system, batch }) => {
        const { colour } = looks[system]
        return { label: systems[system].label, bars: comparedBars(paper[system], batch, colour) }
      }),
  }))
  const drawn = panels.filter(({ clusters }) => clusters.length > 0)
  return drawGrid(
    drawn.map((panel) => (width, height) => drawBarPanel(panel, width, height)),
    { columns: drawn.length, panelWidth: 430, panelHeight: 270, legend: drawPaperAndOurs },
  )
}
