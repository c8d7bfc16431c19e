import { defineFigure } from '../report/figure.js'
import { HIGHEST_LATENCY } from '../simulation/curve.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems } from '../systems/serving-systems.js'
import { translationTrace, type TraceRequest } from '../workload/trace.js'
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

const DURATION = 900

/** Token ids of suffixes start here: each request's own, none of the prefix's. */
const FIRST_SUFFIX_TOKEN = 1000
const SUFFIX_TOKENS = 512

function panel(letter: string, prefix: number, maxRate: number): RatePanel {
  return {
    title: `(${letter}) prefix of ${prefix} tokens`,
    systems: ['orca-oracle', 'vllm'],
    maxRate,
    latencyAt: (system, rate) =>
      replay({
        system: systems[system],
        model: models['OPT-13B'],
        trace: translationTrace({ rate, duration: DURATION }),
        scheduler: { enablePrefixCaching: system === 'vllm' },
        promptOf: (request, index) => promptAfter(prefix, request, index),
        latencyLimit: HIGHEST_LATENCY,
      }).latency.mean,
  }
}

function promptAfter(prefix: number, { input }: TraceRequest, index: number): Int32Array {
  const prompt = new Int32Array(prefix + input)
  for (let i = 0; i < prefix; i++) prompt[i] = i
  for (let i = 0; i < input; i++) {
    prompt[prefix + i] = FIRST_SUFFIX_TOKEN + index * SUFFIX_TOKENS + i
  }
  return prompt
}

const panels = { '16a': panel('a', 80, 60), '16b': panel('b', 341, 50) }

export const sharedPrefix = defineFigure<LineJob, LineResult>({
  id: 'figure-16',
  title: 'Figure 16. A prefix that all requests share',
  about:
    'LLaMA-13B, translation with one or five examples before each sentence, 15 minutes. Octavo finds ' +
    'the prefix in its prefix cache; whole blocks of it are shared, the rest is computed anew.',
  jobs: (quick) => (quick ? [] : lineJobs(panels)),
  run: (job) => runLine(panels, job),
  report: (results) => ({
    plot: plotPanels(panels, results),
    rows: [
      ...ratioRows(panels, results, 'orca-oracle', 0.25, 'guess'),
      ...kneeRows(panels, results, 0.25, 'shown'),
    ],
    notes: [
      'The lengths of the sentences are not in the paper: 30 tokens on average, on both sides, are a guess. Longer ones lower the ratios.',
    ],
  }),
})
