import { defineFigure } from '../report/figure.js'
import { HIGHEST_LATENCY } from '../simulation/curve.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems } from '../systems/serving-systems.js'
import { chatbotTrace } from '../workload/trace.js'
import {
  kneeRows,
  lineJobs,
  plotPanels,
  ratioRows,
  runLine,
  type LineJob,
  type LineResult,
  type RatePanels,
} from './rate-panels.js'

const panels: RatePanels = {
  '17': {
    title: 'Chatbot',
    systems: ['orca-max', 'orca-pow2', 'orca-oracle', 'vllm'],
    maxRate: 1,
    latencyAt: (system, rate) =>
      replay({
        system: systems[system],
        model: models['OPT-13B'],
        trace: chatbotTrace({ rate, duration: 3600 }),
        latencyLimit: HIGHEST_LATENCY,
      }).latency.mean,
  },
}

export const chatbot = defineFigure<LineJob, LineResult>({
  id: 'figure-17',
  title: 'Figure 17. Chatbot',
  about:
    'OPT-13B, ShareGPT: prompts are the last 1024 tokens of a talk, nothing is kept between turns. One hour.',
  jobs: (quick) => (quick ? [] : lineJobs(panels)),
  run: (job) => runLine(panels, job),
  report: (results) => ({
    plot: plotPanels(panels, results),
    rows: [
      ...kneeRows(panels, results, 0.1, 'guess'),
      ...ratioRows(panels, results, 'orca-oracle', 0.1, 'guess'),
    ],
    notes: [
      'The share of prompts that fill all 1024 tokens is not in the paper: 60 % is a guess.',
      'The paper’s text says twice the rate of Orca; its plotted curves say about 1.5 times.',
    ],
  }),
})
