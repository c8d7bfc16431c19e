import type { Dataset } from '../data/lengths.js'
import { defineFigure } from '../report/figure.js'
import { between, within, type Row } from '../report/rows.js'
import { HIGHEST_LATENCY } from '../simulation/curve.js'
import { models, type ModelName } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems, type SystemName } from '../systems/serving-systems.js'
import { datasetTrace } from '../workload/trace.js'
import {
  kneeOf,
  kneeRows,
  lineJobs,
  paperKnee,
  paperPoints,
  plotPanels,
  ratioRows,
  runLine,
  type LineJob,
  type LineResult,
  type RatePanel,
} from './rate-panels.js'

const names: readonly SystemName[] = ['ft', 'orca-max', 'orca-pow2', 'orca-oracle', 'vllm']

function panel(
  letter: string,
  modelName: ModelName,
  dataset: Dataset,
  maxRate: number,
  duration: number,
): RatePanel {
  const model = models[modelName]
  return {
    title: `(${letter}) ${modelName}, ${dataset === 'alpaca' ? 'Alpaca' : 'ShareGPT'}`,
    systems: names,
    maxRate,
    latencyAt(system, rate) {
      const trace = datasetTrace(dataset, { rate, duration })
      const latencyLimit = HIGHEST_LATENCY
      return replay({ system: systems[system], model, trace, latencyLimit }).latency.mean
    },
  }
}

const panels = {
  '12a': panel('a', 'OPT-13B', 'sharegpt', 2.2, 3600),
  '12b': panel('b', 'OPT-66B', 'sharegpt', 1.1, 3600),
  '12c': panel('c', 'OPT-175B', 'sharegpt', 2.8, 900),
  '12d': panel('d', 'OPT-13B', 'alpaca', 34, 3600),
  '12e': panel('e', 'OPT-66B', 'alpaca', 22, 3600),
  '12f': panel('f', 'OPT-175B', 'alpaca', 24, 900),
}

const quickLines: readonly LineJob[] = [
  { panel: '12c', system: 'vllm' },
  { panel: '12c', system: 'orca-oracle' },
]

export const basicSampling = defineFigure<LineJob, LineResult>({
  id: 'figure-12',
  title: 'Figure 12. One output a request',
  about:
    'Mean normalized latency (seconds from arrival to the end, for each token of the output) by ' +
    'request rate: Poisson arrivals for one hour, 15 minutes for OPT-175B.',
  jobs: (quick) => (quick ? quickLines : lineJobs(panels)),
  run: (job) => runLine(panels, job),
  report: (results) => ({
    plot: plotPanels(panels, results),
    rows: [
      ...kneeRows(panels, results, 0.2, 'calibration'),
      ...deviationRow(results),
      ...ratioRows(panels, results, 'orca-oracle', 0.1, 'calibration'),
      ...ratioRows(panels, results, 'orca-max', 0.2, 'calibration'),
      ...lowLoadRows(results),
    ],
    notes: [
      'The constants of the cost model were fitted to the 24 knees of Orca and vLLM in this figure: they show that one model explains them all, not that it predicted them.',
      'FasterTransformer’s batch rule and engine are not documented: only its order of magnitude can be compared.',
      'In (f) the machine is bound by computing; vLLM is limited to 256 sequences there, Orca is not, as in the authors’ code.',
    ],
  }),
})

/** Root mean square of the logarithms of ours over the paper's, when all knees are there. */
function deviationRow(results: readonly LineResult[]): Row[] {
  const fitted = results.filter(({ system }) => system !== 'ft')
  if (fitted.length < Object.keys(panels).length * (names.length - 1)) return []
  const squares = fitted.map(
    ({ panel: id, system, curve }) => Math.log(curve.knee / paperKnee(id, system)) ** 2,
  )
  const ours = 100 * Math.sqrt(squares.reduce((sum, one) => sum + one, 0) / squares.length)
  const name = '24 knees: root mean square deviation'
  return [between(-Infinity, 10, { name, unit: '%', paper: 0, ours, kind: 'calibration' })]
}

/** Octavo's latency at the plotted rates up to 80 % of its knee, beyond which the curve is too steep to compare. */
function lowLoadRows(results: readonly LineResult[]): Row[] {
  return results
    .filter(({ system }) => system === 'vllm')
    .flatMap(({ panel: id, system, curve }) => {
      const limit = 0.8 * Math.min(paperKnee(id, system), kneeOf(results, id, system))
      const points = new Map(paperPoints(id, system).filter(([rate]) => rate <= limit))
      return [...points].map(([rate, paper]) =>
        within(0.2, {
          name: `${panels[id as keyof typeof panels].title}, Octavo: latency at ${rate} req/s`,
          unit: 's/token',
          paper,
          ours: curve.points.find(([other]) => other === rate)![1],
          kind: 'calibration',
        }),
      )
    })
}
