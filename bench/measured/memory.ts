import { measurePool, type PoolUse, type System } from './pool-use.js'
import { median } from '../statistics.mjs'
import { percent, printTable, writeJson } from './report.js'
import { measureRoof } from './roof.js'
import { measureSharing } from './sharing.js'
import { drawTraffic, MODEL_LENGTH } from './traffic.js'

const SYSTEMS: readonly System[] = ['orca-max', 'orca-oracle', 'paging']

/** The paper's Figure 15: blocks saved with 2, 4 and 6 outputs; of ShareGPT the range of all three. */
const PAPER = {
  alpaca: { parallel: [0.0609, 0.0853, 0.0979], beam: [0.3756, 0.5313, 0.5516] },
  sharegpt: { parallel: '16.2-30.5 %', beam: '44.3-66.3 %' },
} as const
const WIDTHS = [2, 4, 6] as const

interface Comparison {
  readonly model: string
  readonly poolSequences: number
  readonly requests: number
  /** Lengths are the paper's divided by this. */
  readonly scale: number
  readonly rounds: number
}

async function comparePools(comparison: Comparison) {
  const { model, poolSequences, requests, scale, rounds } = comparison
  const traffic = drawTraffic('sharegpt', requests, scale)
  const modelLength = MODEL_LENGTH / scale
  const measured: PoolUse[][] = []
  for (let round = 0; round < rounds; round++) {
    const uses = []
    for (const system of SYSTEMS) {
      uses.push(await measurePool({ system, model, poolSequences, requests: traffic, modelLength }))
    }
    measured.push(uses)
  }
  const speeds = SYSTEMS.map((_, i) => median(measured.map((round) => round[i]!.tokensPerSecond)))
  const [first] = measured
  printTable(
    `${model}, a pool of ${poolSequences} sequences of ${modelLength} tokens, ` +
      `${requests} requests at once, lengths of ShareGPT / ${scale}`,
    [
      ['', 'batch', '', 'tokens', 'reserved', 'internal', 'external', 'free', 'tokens/s', ''],
      ...first!.map((use, i) => [
        use.system,
        use.batch.toFixed(1),
        `${(use.batch / first![0]!.batch).toFixed(2)} x`,
        ...[use.tokenStates, use.reserved, use.internal, use.external, use.free].map(percent),
        speeds[i]!.toFixed(0),
        `${(speeds[i]! / speeds[0]!).toFixed(2)} x`,
      ]),
    ],
  )
  const roof = await compareRoofs(comparison, first!)
  return { ...comparison, speeds, roof, measured }
}

/** What decoding could gain at most from the batch that a system reaches, whatever scheduled it. */
async function compareRoofs({ model, poolSequences, scale, rounds }: Comparison, uses: PoolUse[]) {
  const modelLength = MODEL_LENGTH / scale
  const batches = uses.map(({ batch }) => Math.round(batch))
  const paging = uses.at(-1)!
  const context = Math.round((paging.tokenStates * poolSequences * modelLength) / paging.batch)
  const speeds = await measureRoof({ model, batches, context, modelLength, rounds })
  printTable(`the roof: decoding alone, ${context} tokens of context each`, [
    ['', 'batch', 'tokens/s', ''],
    ...uses.map(({ system }, i) => [
      system,
      String(batches[i]),
      speeds[i]!.toFixed(0),
      `${(speeds[i]! / speeds[0]!).toFixed(2)} x`,
    ]),
  ])
  return { batches, context, speeds }
}

async function compareSharing(dataset: 'alpaca' | 'sharegpt', requests: number) {
  const traffic = drawTraffic(dataset, requests)
  const rows = []
  for (const [i, width] of WIDTHS.entries()) {
    const parallel = await measureSharing(traffic, { n: width, temperature: 1 })
    const beam = await measureSharing(traffic, { beamWidth: width })
    const paper = PAPER[dataset]
    const said = (value: (typeof paper)['parallel' | 'beam']) =>
      typeof value === 'string' ? value : percent(value[i]!)
    rows.push({
      width,
      parallel,
      beam,
      paper: { parallel: said(paper.parallel), beam: said(paper.beam) },
    })
  }
  printTable(`blocks saved by sharing, ${dataset}'s lengths, ${requests} requests`, [
    ['outputs', 'parallel', 'paper', 'beams', 'paper', 'copies a step'],
    ...rows.map(({ width, parallel, beam, paper }) => [
      String(width),
      percent(parallel.saved),
      paper.parallel,
      percent(beam.saved),
      paper.beam,
      beam.copiesPerStep.toFixed(2),
    ]),
  ])
  return { dataset, requests, rows }
}

const demo = { model: 'demo', scale: 1, rounds: 3 }
const pools = [
  await comparePools({ ...demo, poolSequences: 7, requests: 200 }),
  await comparePools({ ...demo, poolSequences: 2, requests: 100 }),
]
const large = process.argv[2]
if (large !== undefined) {
  const scaled = { model: large, scale: 4, rounds: 3 }
  pools.push(await comparePools({ ...scaled, poolSequences: 7, requests: 80 }))
  pools.push(await comparePools({ ...scaled, poolSequences: 2, requests: 40 }))
}
const sharing = [await compareSharing('alpaca', 60), await compareSharing('sharegpt', 15)]
writeJson('memory', { pools, sharing })
