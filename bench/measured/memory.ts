import { measurePool, type PoolUse, type System } from './pool-use.js'
import { median, percent, printTable, writeJson } from './report.js'
import { measureSharing } from './sharing.js'
import { drawTraffic } from './traffic.js'

const SYSTEMS: readonly System[] = ['orca-max', 'orca-oracle', 'paging']
const ROUNDS = 3

/** The paper's Figure 15: blocks saved with 2, 4 and 6 outputs; of ShareGPT the range of all three. */
const PAPER = {
  alpaca: { parallel: [0.0609, 0.0853, 0.0979], beam: [0.3756, 0.5313, 0.5516] },
  sharegpt: { parallel: '16.2-30.5 %', beam: '44.3-66.3 %' },
} as const
const WIDTHS = [2, 4, 6] as const

async function comparePools(poolSequences: number, requests: number) {
  const traffic = drawTraffic('sharegpt', requests)
  const rounds: PoolUse[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    const uses = []
    for (const system of SYSTEMS) {
      uses.push(await measurePool({ system, poolSequences, requests: traffic }))
    }
    rounds.push(uses)
  }
  const uses = rounds[0]!.map((use, i) => ({
    ...use,
    tokensPerSecond: median(rounds.map((round) => round[i]!.tokensPerSecond)),
  }))
  const [max] = uses
  printTable(
    `a pool of ${poolSequences} sequences of 2,048 tokens; ShareGPT's lengths, ${requests} requests at once`,
    [
      ['', 'batch', 'tokens', 'reserved', 'internal', 'external', 'free', 'tokens/s', 'of Max'],
      ...uses.map((use) => [
        use.system,
        use.batch.toFixed(1),
        ...[use.tokenStates, use.reserved, use.internal, use.external, use.free].map(percent),
        use.tokensPerSecond.toFixed(0),
        `${(use.batch / max!.batch).toFixed(2)} x batch, ${(use.tokensPerSecond / max!.tokensPerSecond).toFixed(2)} x speed`,
      ]),
    ],
  )
  return { poolSequences, requests, uses, rounds }
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

writeJson('memory', {
  pools: [await comparePools(7, 200), await comparePools(2, 100)],
  sharing: [await compareSharing('alpaca', 60), await compareSharing('sharegpt', 15)],
})
