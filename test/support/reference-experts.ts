import type { CombineExpertsOp, RouteOp, Value } from '../../lib/plan/ops.js'
import { softmax, sum, type Row } from './reference-rows.js'

export function route(op: RouteOp, logits: Row, bias?: Row): Row {
  const { topK, groups, topGroups, scale } = op
  const scores =
    op.score === 'softmax' ? softmax([...logits]) : [...logits].map((x) => 1 / (1 + Math.exp(-x)))
  const choice = scores.map((score, e) => score + (bias?.[e] ?? 0))
  const size = choice.length / groups
  const groupScores = Array.from({ length: groups }, (_, g) => {
    const best = choice.slice(g * size, (g + 1) * size).sort((a, b) => b - a)
    return op.groupScore === 'best' ? best[0]! : best[0]! + best[1]!
  })
  const allowed = new Set(largest(groupScores, topGroups))
  const ids = largest(
    choice.map((score, e) => (allowed.has(Math.floor(e / size)) ? score : -Infinity)),
    topK,
  )
  const chosen = ids.map((id) => scores[id]!)
  const divisor = op.renormalise ? sum(chosen) : 1
  return Float64Array.from([...ids, ...chosen.map((score) => (score / divisor) * scale)])
}

/** Indices of the largest values, the largest first; of equal ones the first. */
function largest(values: readonly number[], count: number): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[b]! - values[a]! || a - b)
  return order.slice(0, count)
}

export function combineExperts(op: CombineExpertsOp, read: (value: Value) => Row[]): Row[] {
  const { topK, out } = op
  const shared = op.shared && read(op.shared)
  const gates = op.gate && read(op.gate)
  const routes = read(op.routes)
  return read(op.input).map((row, t) =>
    Float64Array.from({ length: out.cols }, (_, c) => {
      const gate = gates ? 1 / (1 + Math.exp(-gates[t]![0]!)) : 1
      let result = shared ? gate * shared[t]![c]! : 0
      for (let j = 0; j < topK; j++) result += routes[t]![topK + j]! * row[j * out.cols + c]!
      return result
    }),
  )
}
