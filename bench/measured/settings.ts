import { mlfq } from '../../lib/scheduling/policy.js'
import { models } from '../paper/simulation/models.js'
import { replay } from '../paper/simulation/replay.js'
import { policies } from '../paper/systems/fast-serve.js'
import { systems, type ServingSystem } from '../paper/systems/serving-systems.js'
import { datasetTrace } from '../paper/workload/trace.js'
import { printTable } from './report.js'

const WATERMARKS = [0, 0.01, 0.02, 0.03, 0.05, 0.1]
const SECONDS = 900
const OVERLOADS = [
  { model: 'OPT-13B', dataset: 'sharegpt', rate: 4 },
  { model: 'OPT-66B', dataset: 'sharegpt', rate: 2 },
  { model: 'OPT-13B', dataset: 'alpaca', rate: 45 },
] as const

const QUANTA = [8, 32, 64]
const QUEUES = [
  { dataset: 'sharegpt', rate: 2, requests: 4000 },
  { dataset: 'sharegpt', rate: 4, requests: 4000 },
  { dataset: 'alpaca', rate: 15, requests: 1000 },
] as const

function compareWatermarks({ model, dataset, rate }: (typeof OVERLOADS)[number]): void {
  const trace = datasetTrace(dataset, { rate, duration: SECONDS })
  const rows = WATERMARKS.map((watermark) => {
    const served = replay({
      ...{ system: systems.vllm, model: models[model], trace, limit: SECONDS },
      scheduler: { watermark },
    })
    return [
      String(watermark),
      (served.finished / served.seconds).toFixed(3),
      String(served.preemptions),
      served.batch.toFixed(1),
    ]
  })
  printTable(`${model}, ${dataset}, more than it can serve, on the simulated clock`, [
    ['watermark', 'requests/s', 'preemptions', 'batch'],
    ...rows,
  ])
}

/** FastServe's machine with feedback queues of another quantum. */
function queuesOf(quantum: number): ServingSystem {
  const system = policies.mlfq
  const policy = mlfq({ quantum })
  return { ...system, makeScheduler: (model) => system.makeScheduler(model, { policy }) }
}

function compareQuanta({ dataset, rate, requests }: (typeof QUEUES)[number]): void {
  const trace = datasetTrace(dataset, { rate, duration: requests / rate })
  const systemsCompared: readonly (readonly [string, ServingSystem])[] = [
    ['fcfs', policies.fcfs],
    ...QUANTA.map((quantum) => [`mlfq, quantum ${quantum}`, queuesOf(quantum)] as const),
  ]
  const rows = systemsCompared.map(([name, system]) => {
    const { latency, preemptions } = replay({
      ...{ system, model: models['OPT-13B'], trace, warmUp: 0 },
    })
    const tail = latency.quantile(0.95)
    return [name, latency.mean.toFixed(3), tail.toFixed(3), String(preemptions)]
  })
  printTable(`${dataset}, ${rate} requests a second, ${requests} requests: s/token`, [
    ['', 'mean', '95th percentile', 'preemptions'],
    ...rows,
  ])
}

for (const overload of OVERLOADS) compareWatermarks(overload)
for (const queue of QUEUES) compareQuanta(queue)
