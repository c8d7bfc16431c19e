import { element, line, short, text, type Attributes } from './svg.js'

type Shape = 'circle' | 'square' | 'diamond' | 'triangle' | 'cross'

/** How a series is told from the others, in lines and bars. */
export interface Look {
  readonly label: string
  readonly colour: string
  readonly shape: Shape
}

/** The serving systems look the same in every figure. */
export const looks = {
  ft: { label: 'FasterTransformer', colour: '#8c8c8c', shape: 'cross' },
  'orca-max': { label: 'Orca (Max)', colour: '#2f9e62', shape: 'square' },
  'orca-pow2': { label: 'Orca (Pow2)', colour: '#d9822b', shape: 'diamond' },
  'orca-oracle': { label: 'Orca (Oracle)', colour: '#c23b4a', shape: 'triangle' },
  vllm: { label: 'Octavo (paper: vLLM)', colour: '#2363b0', shape: 'circle' },
} satisfies Readonly<Record<string, Look>>

const SIZE = 3

export function drawMarker({ colour, shape }: Look, x: number, y: number, hollow: boolean): string {
  const style = {
    fill: hollow ? '#fff' : colour,
    stroke: colour,
    'stroke-width': 1.1,
    ...(hollow ? { 'stroke-opacity': 0.8 } : {}),
  }
  switch (shape) {
    case 'circle':
      return element('circle', { cx: x, cy: y, r: SIZE, ...style })
    case 'square':
      return polygon(x, y, style, [-SIZE, -SIZE, SIZE, -SIZE, SIZE, SIZE, -SIZE, SIZE])
    case 'diamond':
      return polygon(x, y, style, [0, -4, 4, 0, 0, 4, -4, 0])
    case 'triangle':
      return polygon(x, y, style, [0, -4, 4, 3, -4, 3])
    case 'cross':
      return (
        line(x - SIZE, y - SIZE, x + SIZE, y + SIZE, style) +
        line(x - SIZE, y + SIZE, x + SIZE, y - SIZE, style)
      )
  }
}

/** Entries in one row, with the two kinds of line at its end where both are drawn. */
export function drawLegend(list: readonly Look[], width: number, y: number): string {
  const entries = [
    ...list.map((look) => ({ words: look.label, draw: (x: number) => sample(look, x, y, false) })),
    {
      words: 'the paper’s',
      draw: (x: number) => sample({ label: '', colour: '#555', shape: 'circle' }, x, y, true),
    },
  ]
  const widths = entries.map(({ words }) => 46 + 6.6 * words.length)
  let x = (width - widths.reduce((sum, one) => sum + one, 0)) / 2
  return entries
    .map(({ words, draw }, i) => {
      const entry = draw(x) + text(x + 30, y + 4, words)
      x += widths[i]!
      return entry
    })
    .join('')
}

function sample(look: Look, x: number, y: number, paper: boolean): string {
  const dashes: Attributes = paper ? { 'stroke-dasharray': '4 3' } : {}
  return (
    line(x, y, x + 24, y, { stroke: look.colour, 'stroke-width': 1.6, ...dashes }) +
    drawMarker(look, x + 12, y, paper)
  )
}

function polygon(x: number, y: number, style: Attributes, offsets: readonly number[]): string {
  const points: string[] = []
  for (let i = 0; i < offsets.length; i += 2) {
    points.push(`${short(x + offsets[i]!)},${short(y + offsets[i + 1]!)}`)
  }
  return element('polygon', { points: points.join(' '), ...style })
}
