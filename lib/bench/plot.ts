import type { LoadReport } from './report.js'

const KINDS = {
  ttft: 'Time to first token',
  tpot: 'Time per output token',
  itl: 'Inter-token latency',
} as const
const SHARES = { p50: '#9cc5b5', p90: '#4f9d86', p99: '#2f6f5e' } as const
const [WIDTH, ROW, LEFT] = [720, 84, 180]

/** The waits of a load as bars, one group a kind on its own scale: a picture in SVG. */
export function plotOf(report: LoadReport, title: string): string {
  const groups = Object.entries(KINDS).map(([kind, name], i) => {
    const waits = report[kind as keyof typeof KINDS]
    const bars = Object.entries(SHARES).map(([share, colour], j) => {
      const value = waits[share as keyof typeof SHARES]
      const length = (value / Math.max(waits.p99, 1e-9)) * (WIDTH - LEFT - 110)
      const y = 56 + i * ROW + j * 22
      return (
        `<rect x="${LEFT}" y="${y}" width="${length.toFixed(1)}" height="17" rx="3" fill="${colour}"/>` +
        `<text x="${(LEFT + length + 8).toFixed(1)}" y="${y + 13}">${share} ${value.toFixed(1)} ms</text>`
      )
    })
    return `<text x="20" y="${56 + i * ROW + 35}">${name}</text>${bars.join('')}`
  })
  const escaped = title.replace(/[<&]/g, (character) => (character === '<' ? '&lt;' : '&amp;'))
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${64 + 3 * ROW}" font-family="system-ui, sans-serif" font-size="13">` +
    `<rect width="100%" height="100%" fill="#fff"/><text x="20" y="32" font-size="16" font-weight="600">${escaped}</text>` +
    `${groups.join('')}</svg>\n`
  )
}
