import { escapeText } from '../plot/svg.js'
import type { Figure, FigureReport } from './figure.js'
import type { Row } from './rows.js'

export interface DrawnFigure {
  readonly figure: Figure
  readonly report: FigureReport
}

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1020px; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.5rem }
  svg { max-width: 100%; height: auto; display: block; margin: 1rem auto }
  table { border-collapse: collapse; width: 100%; font-size: 13px }
  th, td { padding: 3px 10px; border-bottom: 1px solid #e4e4e4; text-align: left }
  td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
  .in { color: #1d7a45 } .out { color: #b3261e; font-weight: 600 } .shown { color: #777 }
  li { margin: .2rem 0 } code { background: #f4f4f4; padding: 0 3px }
`

const introduction = `
<p>The figures of <a href="https://arxiv.org/abs/2309.06180">Efficient Memory Management for Large Language
Model Serving with PagedAttention</a> (Kwon et al., SOSP 2023), redrawn from Octavo’s own scheduler and block
manager. Nothing is computed by a model: an executor on a simulated clock says how long each step would have
taken on the paper’s machine. Which requests run, which blocks they own, who waits and who is preempted is
decided by the classes that serve requests. Orca is the same scheduler over contiguous reservations from a
buddy allocator; FasterTransformer serves whole batches.</p>
<p>Solid: ours. Dashed or pale: the paper’s, digitised. What a row may claim:</p>
<ul>
<li><b>calibration</b>: constants of the cost model were fitted to these numbers;</li>
<li><b>prediction</b>: follows from code, workload and constants fitted elsewhere;</li>
<li><b>guess</b>: depends on a length or a share that the paper does not give;</li>
<li><b>shown</b>: no claim.</li>
</ul>
<p><code>npm run paper</code> draws this page.</p>`

/** One page that needs no other file. */
export function drawPage(drawn: readonly DrawnFigure[]): string {
  const banded = drawn.flatMap(({ report }) => report.rows).filter(({ passed }) => passed !== null)
  const inside = banded.filter(({ passed }) => passed)
  const summary = `<p><b>${inside.length} of ${banded.length} rows lie in their band.</b></p>`
  const sections = drawn.map(drawSection).join('')
  return (
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Octavo: the paper’s figures</title>` +
    `<meta name="viewport" content="width=device-width"><style>${style}</style></head><body>` +
    `<h1>The paper’s figures, redrawn</h1>${introduction}${summary}${sections}</body></html>\n`
  )
}

function drawSection({ figure, report }: DrawnFigure): string {
  const notes = report.notes.map((note) => `<li>${escapeText(note)}</li>`).join('')
  return (
    `<h2 id="${figure.id}">${escapeText(figure.title)}</h2><p>${escapeText(figure.about)}</p>` +
    `${uniqueIds(report.plot, figure.id)}<ul>${notes}</ul>${drawTable(report.rows)}`
  )
}

/** Ids of clip paths are unique in a file, not yet in a page of many. */
function uniqueIds(svg: string, prefix: string): string {
  return svg
    .replaceAll('id="clip', `id="${prefix}-clip`)
    .replaceAll('url(#clip', `url(#${prefix}-clip`)
}

function drawTable(rows: readonly Row[]): string {
  const head = '<tr><th></th><th>paper</th><th>ours</th><th></th><th>band</th><th>kind</th></tr>'
  return `<table>${head}${rows.map(drawRow).join('')}</table>`
}

function drawRow({ name, unit, paper, ours, kind, band, passed }: Row): string {
  const verdict = passed === null ? 'shown' : passed ? 'in' : 'out'
  const mark = passed === null ? '' : passed ? '✓ ' : '✗ '
  return (
    `<tr><td>${escapeText(name)}</td><td class="number">${paper === null ? '' : formatNumber(paper)}</td>` +
    `<td class="number">${formatNumber(ours)}</td><td>${escapeText(unit)}</td>` +
    `<td class="${verdict}">${mark}${escapeText(band)}</td><td>${kind}</td></tr>`
  )
}

/** Three digits, or whole numbers. */
export function formatNumber(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)))
}
