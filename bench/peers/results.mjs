// What bench/peers.mjs measured: kept a line a measurement, read as medians and ratios.
import { existsSync, readFileSync } from 'node:fs'
import { median } from '../statistics.mjs'
import { compareCases } from './cases.mjs'

/** Those in a file, without those of another build of Octavo. */
export function readResults(file, build) {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const all = lines.map(JSON.parse)
  const results = all.filter((result) => result.engine !== 'octavo' || result.build === build)
  const others = all.length - results.length
  if (others > 0) console.log(`${others} results of another build of Octavo are left out.`)
  return results
}

/** A row a width and case: medians by engine, and how many times the best peer Octavo is. */
export function rowsOf(results, engines) {
  const rows = new Map()
  for (const { engine, bits, case: name, value } of results) {
    if (name.startsWith('accuracy')) continue
    const key = `${bits} ${name}`
    if (!rows.has(key)) rows.set(key, { bits, name, found: {} })
    const values = (rows.get(key).found[engine] ??= [])
    if (value !== null) values.push(value)
  }
  const sorted = [...rows.values()].sort((a, b) => a.bits - b.bits || compareCases(a.name, b.name))
  return sorted.map(({ bits, name, found }) => {
    const asked = Object.keys(found)
    const able = asked.filter((engine) => found[engine].length > 0)
    const medians = Object.fromEntries(able.map((engine) => [engine, median(found[engine])]))
    const rounds = Object.fromEntries(able.map((engine) => [engine, found[engine].length]))
    const others = engines.filter((e) => e !== 'octavo' && e in medians).map((e) => medians[e])
    const less = name === 'load' // of time
    const best = less ? Math.min(...others) : Math.max(...others)
    const ratio = others.length > 0 && 'octavo' in medians ? medians.octavo / best : NaN
    return { bits, name, asked, medians, rounds, ratio: less ? 1 / ratio : ratio }
  })
}

/** What the figures of these rows are, in words: an engine may have more rounds of a case than another. */
export function roundsOf(rows, engines) {
  const ranges = engines.flatMap((engine) => {
    const counts = rows.map(({ rounds }) => rounds[engine]).filter(Boolean)
    if (counts.length === 0) return []
    const [least, most] = [Math.min(...counts), Math.max(...counts)]
    return [{ engine, least, most, range: least === most ? String(least) : `${least} to ${most}` }]
  })
  if (ranges.every(({ most }) => most === 1)) return 'one round'
  const all = new Set(ranges.map(({ range }) => range))
  if (all.size === 1) return `medians of ${[...all][0]} rounds`
  const each = ranges.map(({ engine, range }) => `${range} of ${engine}`)
  return `medians of rounds, ${each.join(', ')}; rounds that an engine lacks were measured without it`
}

/** Of each width and engine the accuracy over most tokens. */
export function accuracyOf(results) {
  const rows = new Map()
  for (const result of results) {
    const [kind, tokens] = result.case.split(':')
    const key = `${result.bits} ${result.engine}`
    if (kind !== 'accuracy' || result.value === null) continue
    const before = rows.get(key)
    if (!before || before.tokens < Number(tokens))
      rows.set(key, { ...result, tokens: Number(tokens) })
  }
  return [...rows.values()].sort((a, b) => a.bits - b.bits)
}

/** The cells of a row: width, case, each engine's median (a dash: it failed), the ratio. */
export const cellsOf = ({ bits, name, asked, medians, ratio }, engines) => [
  String(bits),
  name === 'load' ? 'load (ms)' : name,
  ...engines.map((engine) => medians[engine]?.toFixed(0) ?? (asked.includes(engine) ? '–' : '')),
  Number.isNaN(ratio) ? '–' : ratio.toFixed(2),
]

/** The cells of an accuracy: width, engine, tokens, perplexity and its change, divergence, same best token. */
export const accuracyCellsOf = (found, nameOf) => [
  String(found.bits),
  nameOf(found.engine),
  found.tokens.toLocaleString('en'),
  found.perplexity.toFixed(4),
  `${((found.perplexity / found.exactPerplexity - 1) * 100).toFixed(3)} %`,
  found.value.toFixed(5),
  `${(found.same * 100).toFixed(2)} %`,
]
export const ACCURACY_HEAD = [
  ...['bits', 'engine', 'tokens', 'perplexity', 'change', 'mean KL (nats)', 'same best token'],
]

export function printTable(results, engines) {
  console.log(['bits', 'case', ...engines, 'ratio'].join('\t'))
  for (const row of rowsOf(results, engines)) console.log(cellsOf(row, engines).join('\t'))
  const accuracies = accuracyOf(results)
  if (accuracies.length === 0) return
  console.log(`\n${ACCURACY_HEAD.join('\t')}`)
  for (const found of accuracies) console.log(accuracyCellsOf(found, (name) => name).join('\t'))
}
