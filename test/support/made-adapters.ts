import type { RunPlanRequest } from '../../lib/native/addon-types.js'
import type { StoredType, Weight } from '../../lib/plan/ops.js'
import { roundedNumbers } from './made-numbers.js'
import type { ReferenceAdapter, ReferencePart } from './reference-adapters.js'
import { stored } from './run-plan.js'

/** Columns of a weight's product from `first` on that an adapter changes, `rows` of them. */
export interface MadePart {
  readonly weight: Weight
  readonly rank: number
  readonly first?: number
  readonly rows?: number
  readonly scale?: number
  readonly type?: StoredType
}

/** An adapter of made-up numbers, for the addon and for the reference. */
export interface MadeAdapter {
  readonly reference: ReferenceAdapter
  readonly text: string
  readonly tensors: RunPlanRequest['tensors']
}

/** Its tensors are called `name.0`, `name.1`, … */
export function makeAdapter(name: string, parts: readonly MadePart[], seed = 100): MadeAdapter {
  const tensors: Record<string, RunPlanRequest['tensors'][string]> = {}
  const weights: string[] = []
  const make = (type: StoredType, shape: readonly [number, number]) => {
    const id = weights.length
    const count = shape[0] * shape[1]
    const deviation = 1 / Math.sqrt(shape[1])
    const numbers = roundedNumbers(type, count, { seed: seed + id, deviation })
    tensors[`${name}.${id}`] = { type, shape, data: stored(type, numbers) }
    weights.push(`weight ${id} matrix ${type} [${shape.join()}] ${name}.${id}`)
    return { id, numbers }
  }
  const lines: string[] = []
  const reference = new Map<number, ReferencePart[]>()
  for (const { weight, rank, first = 0, scale = 2, type = 'float32', ...part } of parts) {
    const [all = 0, columns = 0] = weight.shape
    const a = make(type, [rank, columns])
    const b = make(type, [part.rows ?? all - first, rank])
    lines.push(`part weight=${weight.id} first=${first} scale=${scale} a=${a.id} b=${b.id}`)
    const known = reference.get(weight.id) ?? []
    reference.set(weight.id, [...known, { first, scale, rank, a: a.numbers, b: b.numbers }])
  }
  return { reference, tensors, text: `${['octavo-adapter 1', ...weights, ...lines].join('\n')}\n` }
}
