import type { CurvePoint } from '../simulation/curve.js'
import { drawAxes, placeOn, type Axis, type Frame } from './axes.js'
import { drawMarker, type Look } from './looks.js'
import { element, line, short, text } from './svg.js'

export interface LineSeries {
  readonly look: Look
  readonly points: readonly CurvePoint[]
  /** The paper's: dashed, with hollow marks. */
  readonly paper?: boolean
}

export interface LinePanel {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: readonly LineSeries[]
  /** A height to compare at. */
  readonly threshold?: number
}

/** One panel of lines over a common horizontal axis. */
export function drawLinePanel(panel: LinePanel, width: number, height: number): string {
  const frame: Frame = { left: 52, top: 24, width: width - 64, height: height - 64 }
  const clip = `clip-${panel.title.replace(/\W+/g, '-')}-${panel.series.length}`
  const { left, top } = frame
  return [
    text(left + frame.width / 2, 15, panel.title, {
      'text-anchor': 'middle',
      'font-weight': 'bold',
    }),
    drawAxes(frame, panel.x, panel.y),
    panel.threshold === undefined ? '' : drawThreshold(panel.threshold, panel.y, frame),
    element(
      'clipPath',
      { id: clip },
      element('rect', { x: left, y: top, width: frame.width, height: frame.height }),
    ),
    element(
      'g',
      { 'clip-path': `url(#${clip})` },
      panel.series.map((series) => drawSeries(series, panel, frame)).join(''),
    ),
  ].join('')
}

function drawThreshold(value: number, axis: Axis, frame: Frame): string {
  const at = frame.top + (1 - placeOn(axis, value)) * frame.height
  const dots = { stroke: '#888', 'stroke-dasharray': '1 3' }
  return line(frame.left, at, frame.left + frame.width, at, dots)
}

function drawSeries({ look, points, paper = false }: LineSeries, panel: LinePanel, frame: Frame) {
  const places = points.map(([x, y]) => ({
    x: frame.left + placeOn(panel.x, x) * frame.width,
    y: frame.top + (1 - placeOn(panel.y, y)) * frame.height,
  }))
  const marks = places.map(({ x, y }) => drawMarker(look, x, y, paper)).join('')
  if (places.length < 2) return marks
  const path = places.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${short(x)} ${short(y)}`)
  const attributes = {
    d: path.join(''),
    fill: 'none',
    stroke: look.colour,
    'stroke-width': paper ? 1.2 : 1.8,
    ...(paper ? { 'stroke-dasharray': '4 3', 'stroke-opacity': 0.75 } : {}),
  }
  return element('path', attributes) + marks
}
