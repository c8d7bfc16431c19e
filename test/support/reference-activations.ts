import type { ActivationKind, ActivationOp } from '../../lib/plan/ops.js'
import type { Row } from './reference-rows.js'

/** One row of an activation's output. */
export function activate(op: ActivationOp, row: Row, parameters?: ArrayLike<number>): Row {
  const size = row.length / op.parts
  const cols = op.out.cols / op.parts
  return Float64Array.from({ length: op.out.cols }, (_, c) => {
    const at = Math.floor(c / cols) * size + (c % cols)
    if (op.activation === 'clampedSwiglu') return clampedSwiglu(row[at]!, row[at + cols]!)
    const act = op.activation === 'xielu' ? xielu(parameters!) : ACTIVATIONS[op.activation]
    return act(row[at]!) * (op.gated ? row[at + cols]! : 1)
  })
}

function xielu(parameters: ArrayLike<number>): (x: number) => number {
  const [p, n, beta, eps] = Array.from(parameters)
  const softplus = (x: number) => Math.log1p(Math.exp(x))
  const rise = softplus(p!)
  const fall = beta! + softplus(n!)
  return (x) => (x > 0 ? rise * x * x : fall * (Math.expm1(Math.min(x, eps!)) - x)) + beta! * x
}

function clampedSwiglu(gate: number, up: number): number {
  const limited = Math.min(gate, 7)
  return (limited / (1 + Math.exp(-1.702 * limited))) * (Math.max(-7, Math.min(up, 7)) + 1)
}

type SpecialActivation = 'clampedSwiglu' | 'xielu'
const ACTIVATIONS: Readonly<
  Record<Exclude<ActivationKind, SpecialActivation>, (x: number) => number>
> = {
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  geluTanh: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  geluQuick: (x) => x / (1 + Math.exp(-1.702 * x)),
  relu: (x) => Math.max(x, 0),
  reluSquared: (x) => Math.max(x, 0) ** 2,
}

/** The series e^(−x²) × 2/√π × Σ 2ⁿ x^(2n+1) / (2n+1)!!, whose terms all have one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x)
  let series = 0
  for (let term = x, n = 1; Math.abs(term) > 1e-17 * Math.abs(series); n++) {
    series += term
    term *= (2 * x * x) / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * series
}
