import { drawHeights, placeOn, type Axis, type Frame } from './axes.js'
import { element, text, type Attributes } from './svg.js'

export interface BarSegment {
  readonly value: number
  readonly colour: string
}

/** A bar of one segment or several, stacked from below. */
export interface Bar {
  readonly segments: readonly BarSegment[]
  /** The paper's: paler. */
  readonly paper?: boolean
  /** Written above it. */
  readonly note?: string
}

/** Bars side by side under one name. */
export interface BarCluster {
  readonly label: string
  readonly bars: readonly Bar[]
}

export interface BarPanel {
  readonly title: string
  readonly y: Axis
  readonly clusters: readonly BarCluster[]
  /** Writes the values of segments that are high enough into them. */
  readonly valuesInside?: boolean
}

/** The paper's value beside ours, each written above its bar. */
export function comparedBars(
  paper: number,
  ours: number,
  colour: string,
  digits = 1,
): readonly Bar[] {
  const bar = (value: number) => ({ note: value.toFixed(digits), segments: [{ value, colour }] })
  return [{ ...bar(paper), paper: true }, bar(ours)]
}

const GAP = 0.3
const ROOM_FOR_TEXT = 12

/** One panel of clusters of bars. */
export function drawBarPanel(panel: BarPanel, width: number, height: number): string {
  const frame: Frame = { left: 52, top: 24, width: width - 64, height: height - 50 }
  const clusterWidth = frame.width / panel.clusters.length
  const parts = [
    text(frame.left + frame.width / 2, 15, panel.title, {
      'text-anchor': 'middle',
      'font-weight': 'bold',
    }),
    drawHeights(frame, panel.y),
  ]
  panel.clusters.forEach((cluster, i) => {
    const left = frame.left + i * clusterWidth
    parts.push(
      text(left + clusterWidth / 2, frame.top + frame.height + 15, cluster.label, {
        'text-anchor': 'middle',
      }),
    )
    const barWidth = (clusterWidth * (1 - GAP)) / cluster.bars.length
    cluster.bars.forEach((bar, j) => {
      const x = left + (clusterWidth * GAP) / 2 + j * barWidth
      parts.push(drawBar(bar, { ...frame, left: x, width: barWidth - 2 }, panel))
    })
  })
  return parts.join('')
}

/** `place.left` and `place.width` are the bar's own. */
function drawBar(bar: Bar, place: Frame, panel: BarPanel): string {
  const { left, top, width, height } = place
  const middle = { 'text-anchor': 'middle', 'font-size': 9 }
  const parts: string[] = []
  let y = top + height
  for (const { value, colour } of bar.segments) {
    const segmentHeight = placeOn(panel.y, value) * height
    y -= segmentHeight
    const box = { x: left, y, width, height: segmentHeight }
    parts.push(drawBox(box, colour, bar.paper))
    if (!panel.valuesInside || segmentHeight < ROOM_FOR_TEXT) continue
    const fill = bar.paper ? '#222' : '#fff'
    parts.push(
      text(left + width / 2, y + segmentHeight / 2 + 3.5, value.toFixed(1), { ...middle, fill }),
    )
  }
  if (bar.note !== undefined) parts.push(text(left + width / 2, y - 4, bar.note, middle))
  return parts.join('')
}

/** A legend of filled squares in one row. */
export function drawSwatches(
  entries: readonly { readonly label: string; readonly colour: string; readonly paper?: boolean }[],
  width: number,
  y: number,
): string {
  const widths = entries.map(({ label }) => 30 + 6.6 * label.length)
  let x = (width - widths.reduce((sum, one) => sum + one, 0)) / 2
  return entries
    .map(({ label, colour, paper }, i) => {
      const box = { x, y: y - 6, width: 12, height: 12 }
      const entry = drawBox(box, colour, paper) + text(x + 17, y + 4, label)
      x += widths[i]!
      return entry
    })
    .join('')
}

/** What pale bars and full ones mean. */
export function drawPaperAndOurs(width: number, y: number): string {
  const colour = '#555'
  const entries = [
    { label: 'the paper’s', colour, paper: true },
    { label: 'ours', colour },
  ]
  return drawSwatches(entries, width, y)
}

function drawBox(box: Attributes, colour: string, paper = false): string {
  const fill = { fill: colour, 'fill-opacity': paper ? 0.35 : 1, stroke: colour }
  const ground = paper ? element('rect', { ...box, fill: '#fff' }) : ''
  return ground + element('rect', { ...box, ...fill, 'stroke-width': 0.8 })
}
