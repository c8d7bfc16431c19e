import { defineFigure } from '../report/figure.js'
import { BEAM_CHANGE, BEAM_STATE, BeamForks } from '../simulation/beam-forks.js'
import { HIGHEST_LATENCY } from '../simulation/curve.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems, type SystemName } from '../systems/serving-systems.js'
import { Random } from '../workload/random.js'
import { datasetTrace } from '../workload/trace.js'
import {
  kneeRows,
  lineJobs,
  plotPanels,
  ratioRows,
  runLine,
  type LineJob,
  type LineResult,
  type RatePanel,
} from './rate-panels.js'

const names: readonly SystemName[] = ['orca-max', 'orca-pow2', 'orca-oracle', 'vllm']
const DURATION = 1800
const SEARCH_DURATION = 600

/** Groups of several sequences are swapped when memory is short, and the host has enough of it. */
const swapping = { preemptionMode: 'swap', hostBlocks: 10_000 } as const

function panel(title: string, outputs: number, maxRate: number, search: boolean): RatePanel {
  return {
    title: `${title}, ${outputs} ${search ? 'beams' : 'samples'}`,
    systems: names,
    maxRate,
    latencyAt: (system, rate) =>
      replay({
        system: systems[system],
        model: models['OPT-13B'],
        trace: datasetTrace('alpaca', { rate, duration: search ? SEARCH_DURATION : DURATION }),
        scheduler: system === 'vllm' ? swapping : {},
        outputs,
        ...(search && { beams: new BeamForks(BEAM_CHANGE, new Random(BEAM_STATE)) }),
        latencyLimit: HIGHEST_LATENCY,
      }).latency.mean,
  }
}

const sampling = {
  '14a': panel('(a) parallel', 2, 20, false),
  '14b': panel('(b) parallel', 4, 12, false),
  '14c': panel('(c) parallel', 6, 8, false),
}

const searching = {
  '14d': panel('(d) beam search', 2, 24, true),
  '14e': panel('(e) beam search', 4, 14, true),
  '14f': panel('(f) beam search', 6, 10, true),
}

const panels = { ...sampling, ...searching }

export const parallelSampling = defineFigure<LineJob, LineResult>({
  id: 'figure-14',
  title: 'Figure 14. Several outputs a request',
  about:
    'OPT-13B, Alpaca, half an hour (ten minutes for beams). All outputs of a request share its prompt’s blocks; beams also ' +
    'share what they have in common after it.',
  jobs: (quick) => (quick ? [] : lineJobs(panels)),
  run: (job) => runLine(panels, job),
  report: (results) => ({
    plot: plotPanels(panels, results),
    rows: [
      ...kneeRows(panels, results.filter(isSampling), 0.2, 'calibration'),
      ...ratioRows(panels, results.filter(isSampling), 'orca-oracle', 0.1, 'calibration'),
      ...kneeRows(panels, results.filter(isSearch), 0, 'shown'),
    ],
    notes: [
      'How the host’s time is divided between requests and sequences was chosen looking at this figure; its ratios depend on that less.',
      'In beam search no model says which beams go on: a beam descends from another with a probability that was fitted to Figure 15. Orca’s copies of whole caches are not charged.',
    ],
  }),
})

function isSampling({ panel: id }: LineResult): boolean {
  return id in sampling
}

function isSearch({ panel: id }: LineResult): boolean {
  return id in searching
}
