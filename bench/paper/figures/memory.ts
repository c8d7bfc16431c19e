import { drawBarPanel, drawSwatches, type Bar, type BarPanel } from '../plot/bar-chart.js'
import { drawGrid } from '../plot/grid.js'
import { defineFigure } from '../report/figure.js'
import { between, shown, withinPoints, type Row } from '../report/rows.js'
import { MemoryRecord, type MemoryShares } from '../simulation/memory-shares.js'
import { models } from '../simulation/models.js'
import { replay } from '../simulation/replay.js'
import { systems, type SystemName } from '../systems/serving-systems.js'
import { datasetTrace } from '../workload/trace.js'

const parts = {
  tokens: { label: 'token states', colour: '#2363b0' },
  reserved: { label: 'reservation', colour: '#e0a030' },
  internal: { label: 'internal fragmentation', colour: '#c23b4a' },
  external: { label: 'external & others', colour: '#8c8c8c' },
} as const

const partNames = Object.keys(parts) as (keyof typeof parts)[]

const paper = {
  'orca-max': { tokens: 20.4, reserved: 13.3, internal: 57.3, external: 8.9 },
  'orca-pow2': { tokens: 26.8, reserved: 17.9, internal: 13.6, external: 41.6 },
  'orca-oracle': { tokens: 38.2, reserved: 25.2, internal: 0, external: 36.6 },
  vllm: { tokens: 96.3, reserved: 1, internal: 1, external: 1.6 },
} satisfies Readonly<Partial<Record<SystemName, MemoryShares>>>

type Compared = keyof typeof paper

interface Result {
  readonly system: Compared
  readonly shares: MemoryShares
}

const SECONDS = 900
const RATE = 4

export const memory = defineFigure<Compared, Result>({
  id: 'figure-02',
  title: 'Figure 2. What the memory for keys and values is used for',
  about:
    'OPT-13B, ShareGPT, 4 requests a second for 900 s: twice what the machine can serve, so that ' +
    'memory is always short. Mean over all steps.',
  jobs: () => Object.keys(paper) as Compared[],
  run(system) {
    const model = models['OPT-13B']
    const record = new MemoryRecord(systems[system], model)
    const trace = datasetTrace('sharegpt', { rate: RATE, duration: SECONDS })
    const { observe } = record
    replay({ system: systems[system], model, trace, limit: SECONDS, observe })
    return { system, shares: record.shares }
  },
  report: (results) => ({
    plot: plot(results),
    rows: results.flatMap(rowsOf),
    notes: [
      'The share of slots that hold a token needs no cost model for Orca: it follows from the lengths and from the allocator.',
      'Orca (Oracle) rounds up to blocks of 16 tokens, which counts as internal fragmentation here.',
    ],
  }),
})

function rowsOf({ system, shares }: Result): Row[] {
  const { label } = systems[system]
  if (system === 'vllm') {
    const waste = 100 - shares.tokens
    const kind = 'prediction'
    const used = {
      name: `${label}: token states`,
      unit: '%',
      paper: 96.3,
      ours: shares.tokens,
      kind,
    }
    const lost = { name: `${label}: waste`, unit: '%', paper: 3.7, ours: waste, kind }
    const inside = shares.reserved + shares.internal
    return [
      between(93, Infinity, { ...used, kind }),
      between(-Infinity, 7, { ...lost, kind }),
      shown({ name: `${label}: waste inside blocks`, unit: '%', paper: 2, ours: inside }),
    ]
  }
  return partNames.map((part) =>
    withinPoints(part === 'tokens' ? 2 : 2.5, {
      name: `${label}: ${parts[part].label}`,
      paper: paper[system][part],
      ours: shares[part],
      kind: 'prediction',
    }),
  )
}

function plot(results: readonly Result[]): string {
  const bar = (shares: MemoryShares, ofPaper: boolean): Bar => ({
    paper: ofPaper,
    note: ofPaper ? 'paper' : 'ours',
    segments: partNames.map((part) => ({ value: shares[part], colour: parts[part].colour })),
  })
  const panel: BarPanel = {
    title: 'Share of the pool of keys and values',
    y: { label: '%', max: 110 },
    valuesInside: true,
    clusters: results.map(({ system, shares }) => ({
      label: systems[system].label,
      bars: [bar(paper[system], true), bar(shares, false)],
    })),
  }
  return drawGrid([(width, height) => drawBarPanel(panel, width, height)], {
    columns: 1,
    panelWidth: 640,
    panelHeight: 330,
    legend: (width, y) => drawSwatches(Object.values(parts), width, y),
  })
}
