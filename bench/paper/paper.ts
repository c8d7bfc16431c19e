import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isMainThread } from 'node:worker_threads'
import { Resvg } from '@resvg/resvg-js'
import { figures } from './figures/all.js'
import { drawPage, formatNumber, type DrawnFigure } from './report/page.js'
import { runOnWorkers, serveTasks } from './workers.js'

const PIXELS_PER_POINT = 2

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      out: { type: 'string', default: 'build-paper' },
    },
  })
  const chosen = figures.filter(({ id }) => values.only.length === 0 || values.only.includes(id))
  const start = performance.now()
  const script = new URL(import.meta.url)
  const results = await runOnWorkers(chosen, values.quick, script, (done, total) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${total} replays `)
  })
  const drawn = [...results]
    .filter(([, list]) => list.length > 0)
    .map(([figure, list]) => ({ figure, report: figure.report(list) }))
  write(drawn, values.out)
  const seconds = (performance.now() - start) / 1000
  console.log(
    `${summary(drawn)}\n${join(values.out, 'index.html')} drawn in ${seconds.toFixed(0)} s`,
  )
}

function write(drawn: readonly DrawnFigure[], folder: string): void {
  mkdirSync(folder, { recursive: true })
  for (const { figure, report } of drawn) {
    writeFileSync(join(folder, `${figure.id}.svg`), report.plot)
    const zoom = { mode: 'zoom', value: PIXELS_PER_POINT } as const
    const png = new Resvg(report.plot, { fitTo: zoom }).render().asPng()
    writeFileSync(join(folder, `${figure.id}.png`), png)
  }
  writeFileSync(join(folder, 'index.html'), drawPage(drawn))
}

/** One line a row with a band, those outside of it marked. */
function summary(drawn: readonly DrawnFigure[]): string {
  return drawn
    .flatMap(({ figure, report }) =>
      report.rows
        .filter(({ passed }) => passed !== null)
        .map(({ name, paper, ours, unit, band, kind, passed }) => {
          const numbers = `${formatNumber(paper!)} → ${formatNumber(ours)} ${unit}`
          return `${passed ? '  ' : '✗ '}${figure.id}  ${name}: ${numbers} (${band}, ${kind})`
        }),
    )
    .join('\n')
}

if (isMainThread) await main()
else serveTasks()
