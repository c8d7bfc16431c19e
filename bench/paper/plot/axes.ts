import { element, line, text } from './svg.js'

/** The inner rectangle of a panel, in pixels from the panel's corner. */
export interface Frame {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

export interface Axis {
  readonly label: string
  readonly max: number
  /** Default 0; with `doubling`, the first power of two. */
  readonly min?: number
  /** One tick for each power of two. */
  readonly doubling?: boolean
}

const GRID = { stroke: '#e4e4e4', 'stroke-width': 1 }
const EDGE = { fill: 'none', stroke: '#555', 'stroke-width': 1 }

/** Share of the axis, 0 to 1, at which a value lies. */
export function placeOn(axis: Axis, value: number): number {
  const { min = 0, max } = axis
  if (axis.doubling) return Math.log2(value / min) / Math.log2(max / min)
  return (value - min) / (max - min)
}

export function ticksOf(axis: Axis): number[] {
  const { min = 0, max } = axis
  const ticks: number[] = []
  if (axis.doubling) {
    for (let tick = min; tick <= max; tick *= 2) ticks.push(tick)
    return ticks
  }
  const step = niceStep((max - min) / 4)
  for (let i = Math.ceil(min / step); i * step <= max * 1.0001; i++) ticks.push(i * step)
  return ticks
}

/** 1, 2, 2.5 or 5 times a power of ten, at least as large. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least))
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= least * 0.999)!
  return factor * power
}

/** Grid, edge, ticks and labels of a panel with two axes. */
export function drawAxes(frame: Frame, x: Axis, y: Axis): string {
  const { left, top, width, height } = frame
  const bottom = top + height
  const parts: string[] = []
  for (const tick of ticksOf(x)) {
    const at = left + placeOn(x, tick) * width
    parts.push(line(at, top, at, bottom, GRID))
    parts.push(text(at, bottom + 14, tickText(tick), { 'text-anchor': 'middle' }))
  }
  parts.push(drawHeights(frame, y))
  parts.push(text(left + width / 2, bottom + 31, x.label, { 'text-anchor': 'middle' }))
  return parts.join('')
}

/** The vertical axis alone, with the panel's edge. */
export function drawHeights(frame: Frame, y: Axis): string {
  const { left, top, width, height } = frame
  const bottom = top + height
  const parts: string[] = []
  for (const tick of ticksOf(y)) {
    const at = bottom - placeOn(y, tick) * height
    parts.push(line(left, at, left + width, at, GRID))
    parts.push(text(left - 6, at + 4, tickText(tick), { 'text-anchor': 'end' }))
  }
  parts.push(element('rect', { x: left, y: top, width, height, ...EDGE }))
  const middle = top + height / 2
  const turned = { 'text-anchor': 'middle', transform: `rotate(-90 11 ${middle})` }
  parts.push(text(11, middle, y.label, turned))
  return parts.join('')
}

export function tickText(value: number): string {
  return String(Number(value.toPrecision(3)))
}
