import { drawGrid } from '../plot/grid.js'
import { drawLinePanel, type LinePanel } from '../plot/line-chart.js'
import { drawLegend, type Look } from '../plot/looks.js'
import { defineFigure } from '../report/figure.js'
import { shown, type Row } from '../report/rows.js'
import { crossing, type CurvePoint } from '../simulation/curve.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { policies, type PolicyName } from '../systems/fast-serve.js'
import { datasetTrace } from '../workload/trace.js'

/** The latency at which the paper compares, in s/token, and its rates there, in req/s. */
const THRESHOLD = 0.3
const paperRate = { fcfs: 2.41, mlfq: 4.89 } as const

const rates = [0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6] as const
const requestCounts = [400, 4000] as const

/** A rate above capacity, at which the policies' tails are compared. */
const COMPARED_RATE = 2

const policyLooks: Readonly<Record<PolicyName, Look>> = {
  fcfs: { label: policies.fcfs.label, colour: '#c23b4a', shape: 'triangle' },
  mlfq: { label: policies.mlfq.label, colour: '#2363b0', shape: 'circle' },
}

interface Job {
  readonly policy: PolicyName
  readonly requests: number
}

interface Result extends Job {
  /** Mean and 95th percentile of normalized latency, by rate. */
  readonly means: readonly CurvePoint[]
  readonly tails: readonly CurvePoint[]
}

export const fastServe = defineFigure<Job, Result>({
  id: 'fastserve',
  title: 'FastServe. Feedback queues against first come, first served',
  about:
    'OPT-13B, ShareGPT, 16 requests in a step, preempted at any token (arXiv 2305.05920). Memory is ' +
    'not limited: swapping hides behind the computation.',
  jobs: (quick) =>
    quick
      ? []
      : [4000, 400].flatMap((requests) =>
          (Object.keys(policies) as PolicyName[]).map((policy) => ({ policy, requests })),
        ),
  run(job) {
    const measured = rates.map((rate) => {
      const { latency } = replay({
        system: policies[job.policy],
        model: models['OPT-13B'],
        trace: datasetTrace('sharegpt', { rate, duration: job.requests / rate }),
        warmUp: 0,
      })
      return { rate, mean: latency.mean, tail: latency.quantile(0.95) }
    })
    return {
      ...job,
      means: measured.map(({ rate, mean }): CurvePoint => [rate, mean]),
      tails: measured.map(({ rate, tail }): CurvePoint => [rate, tail]),
    }
  },
  report: (results) => ({
    plot: plot(results),
    rows: requestCounts.flatMap((requests) => rowsOf(results, requests)),
    notes: [
      'The artifact’s traces have a few hundred requests: above capacity their latency depends on the length of the trace, so both lengths are shown.',
      'Octavo’s queues count tokens instead of seconds, of prompts too: a long prompt weighs more than it does in FastServe. Quantum and patience are the engine’s defaults.',
    ],
  }),
})

function rowsOf(results: readonly Result[], requests: number): Row[] {
  const fcfs = results.find((one) => one.requests === requests && one.policy === 'fcfs')
  const mlfq = results.find((one) => one.requests === requests && one.policy === 'mlfq')
  if (!fcfs || !mlfq) return []
  const name = (what: string) => `${requests} requests, ${what}`
  const kneeRow = ({ policy, means }: Result) =>
    shown({
      name: name(`${policies[policy].label}: rate at ${THRESHOLD} s/token`),
      unit: 'req/s',
      paper: paperRate[policy],
      ours: crossing(means, THRESHOLD),
    })
  const ratio = (of: (result: Result) => readonly CurvePoint[]) =>
    latencyAt(of(fcfs)) / latencyAt(of(mlfq))
  return [
    kneeRow(fcfs),
    kneeRow(mlfq),
    shown({
      name: name(`95th percentile at ${COMPARED_RATE} req/s: first come over feedback`),
      unit: '×',
      paper: null,
      ours: ratio(({ tails }) => tails),
    }),
    shown({
      name: name(`mean at ${COMPARED_RATE} req/s: first come over feedback`),
      unit: '×',
      paper: null,
      ours: ratio(({ means }) => means),
    }),
  ]
}

function latencyAt(points: readonly CurvePoint[]): number {
  return points.find(([rate]) => rate === COMPARED_RATE)![1]
}

function plot(results: readonly Result[]): string {
  const panels = requestCounts
    .map((requests): LinePanel => ({
      title: `${requests} requests`,
      x: { label: 'request rate (req/s)', max: 6 },
      y: { label: 'normalized latency (s/token)', max: requests === 400 ? 1.25 : 5 },
      threshold: THRESHOLD,
      series: results
        .filter((one) => one.requests === requests)
        .flatMap(({ policy, means }) => [
          { look: policyLooks[policy], points: means },
          {
            look: policyLooks[policy],
            points: [[paperRate[policy], THRESHOLD] as const],
            paper: true,
          },
        ]),
    }))
    .filter(({ series }) => series.length > 0)
  return drawGrid(
    panels.map((panel) => (width, height) => drawLinePanel(panel, width, height)),
    {
      columns: panels.length,
      panelWidth: 400,
      panelHeight: 250,
      legend: (width, y) => drawLegend(Object.values(policyLooks), width, y),
    },
  )
}
