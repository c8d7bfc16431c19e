import { paperCurves, type PanelId } from '../data/curves.js'
import { drawGrid } from '../plot/grid.js'
import { drawLinePanel, type LinePanel } from '../plot/line-chart.js'
import { drawLegend, looks } from '../plot/looks.js'
import { shown, within, type Row, type RowKind } from '../report/rows.js'
import {
  crossing,
  findCurve,
  HIGHEST_LATENCY,
  KNEE_LATENCY,
  toPoints,
  type Curve,
  type CurvePoint,
} from '../simulation/curve.js'
import { systems, type SystemName } from '../systems/serving-systems.js'

/** One plot of mean normalized latency over the request rate, a line a system. */
export interface RatePanel {
  readonly title: string
  readonly systems: readonly SystemName[]
  /** Right end of the drawn axis, in req/s. */
  readonly maxRate: number
  /** Mean normalized latency of a replay, which may end above HIGHEST_LATENCY. */
  latencyAt(system: SystemName, rate: number): number
}

export type RatePanels = Readonly<Partial<Record<PanelId, RatePanel>>>

/** One line of a panel. */
export interface LineJob {
  readonly panel: PanelId
  readonly system: SystemName
}

export interface LineResult extends LineJob {
  readonly curve: Curve
}

export function paperPoints(panel: PanelId, system: SystemName): CurvePoint[] {
  const series: Readonly<Partial<Record<SystemName, readonly number[]>>> = paperCurves[panel]
  return toPoints(series[system] ?? [])
}

export function paperKnee(panel: PanelId, system: SystemName): number {
  return crossing(paperPoints(panel, system), KNEE_LATENCY)
}

/** All lines of all panels; those that take longest, at the highest rates, first. */
export function lineJobs(panels: RatePanels): LineJob[] {
  const jobs = panelEntries(panels).flatMap(([panel, { systems: names }]) =>
    names.map((system) => ({ panel, system })),
  )
  return jobs.sort((a, b) => paperKnee(b.panel, b.system) - paperKnee(a.panel, a.system))
}

/** Replays at the rates that the paper plots, and around the knee. */
export function runLine(panels: RatePanels, { panel, system }: LineJob): LineResult {
  const plotted = new Set(paperPoints(panel, system).map(([rate]) => rate))
  const rates = [...plotted].sort((a, b) => a - b)
  const curve = findCurve(rates, (rate) => panels[panel]!.latencyAt(system, rate))
  return { panel, system, curve }
}

export function kneeOf(results: readonly LineResult[], panel: PanelId, system: SystemName): number {
  const result = results.find((one) => one.panel === panel && one.system === system)
  return result?.curve.knee ?? NaN
}

/** Each knee beside the paper's, with a band as a share; FasterTransformer's are shown without. */
export function kneeRows(
  panels: RatePanels,
  results: readonly LineResult[],
  band: number,
  kind: RowKind,
): Row[] {
  return inOrder(panels, results).map(({ panel, system, curve }) => {
    const row = {
      name: `${panels[panel]!.title}, ${systems[system].label}: rate at ${KNEE_LATENCY} s/token`,
      unit: 'req/s',
      paper: paperKnee(panel, system),
      ours: curve.knee,
    }
    return system === 'ft' || kind === 'shown' ? shown(row) : within(band, { ...row, kind })
  })
}

/** Each panel's ratio of vLLM's knee to another system's; none where one of them was not replayed. */
export function ratioRows(
  panels: RatePanels,
  results: readonly LineResult[],
  base: SystemName,
  band: number,
  kind: RowKind,
): Row[] {
  return panelEntries(panels).flatMap(([panel, { title }]) => {
    const ours = kneeOf(results, panel, 'vllm') / kneeOf(results, panel, base)
    if (Number.isNaN(ours)) return []
    const paper = paperKnee(panel, 'vllm') / paperKnee(panel, base)
    const name = `${title}: ${systems.vllm.label} over ${systems[base].label}`
    return [within(band, { name, unit: '×', paper, ours, kind })]
  })
}

export function plotPanels(panels: RatePanels, results: readonly LineResult[]): string {
  const drawn = panelEntries(panels)
    .map(([id, panel]) => ({ id, panel, lines: results.filter((one) => one.panel === id) }))
    .filter(({ lines }) => lines.length > 0)
  const names = new Set(results.map(({ system }) => system))
  const listed = Object.entries(looks).filter(([name]) => names.has(name as SystemName))
  return drawGrid(
    drawn.map(
      ({ id, panel, lines }) =>
        (width, height) =>
          drawLinePanel(linePanel(id, panel, lines), width, height),
    ),
    {
      columns: Math.min(3, drawn.length),
      panelWidth: [700, 400][drawn.length - 1] ?? 330,
      panelHeight: 250,
      legend: (width, y) =>
        drawLegend(
          listed.map(([, look]) => look),
          width,
          y,
        ),
    },
  )
}

/** Jobs run longest first; a table goes panel by panel. */
function inOrder(panels: RatePanels, results: readonly LineResult[]): readonly LineResult[] {
  return panelEntries(panels).flatMap(([id, panel]) =>
    panel.systems.flatMap((name) =>
      results.filter((one) => one.panel === id && one.system === name),
    ),
  )
}

function linePanel(id: PanelId, panel: RatePanel, lines: readonly LineResult[]): LinePanel {
  return {
    title: panel.title,
    x: { label: 'request rate (req/s)', max: panel.maxRate },
    y: { label: 'normalized latency (s/token)', max: 1 },
    threshold: KNEE_LATENCY,
    series: lines.flatMap(({ system, curve }) => [
      { look: looks[system], points: paperPoints(id, system), paper: true },
      { look: looks[system], points: visible(curve.points) },
    ]),
  }
}

/** The points up to the first that leaves the drawn area: behind it, replays were cut short. */
function visible(points: readonly CurvePoint[]): readonly CurvePoint[] {
  const end = points.findIndex(([, latency]) => latency >= HIGHEST_LATENCY)
  return end < 0 ? points : points.slice(0, end + 1)
}

function panelEntries(panels: RatePanels): [PanelId, RatePanel][] {
  return Object.entries(panels) as [PanelId, RatePanel][]
}
