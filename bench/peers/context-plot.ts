import { drawMarker } from '../paper/plot/looks.js'
import { drawLinePanel } from '../paper/plot/line-chart.js'
import { picture, text, translated } from '../paper/plot/svg.js'

export interface Series {
  readonly bits: number
  readonly engine: string
  /** Tokens in the context and microseconds a token. */
  readonly points: readonly (readonly [number, number])[]
}

const [WIDTH, HEIGHT, LEGEND] = [330, 280, 30]
const SHAPES = ['circle', 'square', 'triangle'] as const

/** Time per token against context, a panel a width. */
export function contextPlot(
  series: readonly Series[],
  colours: Readonly<Record<string, string>>,
): string {
  const engines = [...new Set(series.map(({ engine }) => engine))]
  const lookOf = (engine: string) => {
    const shape = SHAPES[engines.indexOf(engine) % SHAPES.length]!
    return { label: engine, colour: colours[engine] ?? '#555', shape }
  }
  const ends = series.flatMap(({ points }) => points)
  const x = { label: 'tokens in the context', max: Math.max(...ends.map(([at]) => at)) * 1.03 }
  const most = Math.max(...ends.map(([, time]) => time / 1000))
  const y = { label: 'milliseconds a token', max: most * 1.05 }
  const widths = [...new Set(series.map(({ bits }) => bits))]
  const panels = widths.map((bits, column) => {
    const lines = series
      .filter((one) => one.bits === bits)
      .map(({ engine, points }) => ({
        look: lookOf(engine),
        points: points.map(([at, time]) => [at, time / 1000] as [number, number]),
      }))
    const panel = { title: `${bits} bits`, x, y, series: lines }
    return translated(column * WIDTH, LEGEND, drawLinePanel(panel, WIDTH, HEIGHT))
  })
  const legend = engines.map(
    (engine, i) =>
      drawMarker(lookOf(engine), 60 + i * 140, 16, false) + text(70 + i * 140, 20, engine),
  )
  return `${picture(widths.length * WIDTH, LEGEND + HEIGHT, legend.join('') + panels.join(''))}\n`
}
