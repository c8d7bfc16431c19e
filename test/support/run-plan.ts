import type { RunPlanResult } from '../../lib/native/addon-types.js'
import { loadAddon } from '../../lib/native/addon.js'
import type { Plan, PlanLimits, StoredType, Weight } from '../../lib/plan/ops.js'
import { printPlan } from '../../lib/plan/text.js'
import type { MadeAdapter } from './made-adapters.js'
import { asMade, normalNumbers } from './made-numbers.js'
import { runPlan } from './record-cases.js'
import { Reference, type ReferenceStep } from './reference.js'
import { isQuantized } from './quantize.js'
import { packToy, type ToyStep } from './toy.js'
import { roundTo, toBFloat16 } from './weights.js'

export { concatenate, normalNumbers, randomNumbers, roundedNumbers } from './made-numbers.js'

export const addon = loadAddon()

/** The instruction sets of this CPU that fuse multiply-adds. */
export const fusedSets = addon.instructionSets.filter((isa) => isa !== 'portable')

/** Whether two arrays hold the same bits. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (array: Float32Array) =>
    Buffer.from(array.buffer, array.byteOffset, array.byteLength)
  return bytes(a).equals(bytes(b))
}

export interface NativeOptions {
  readonly device?: 'cpu' | 'cuda'
  readonly batchInvariant?: boolean
  readonly isa?: string
  readonly threads?: number
  readonly blockSize?: number
  readonly limits?: PlanLimits
  /** Those that sequences name by their `reference`. */
  readonly adapters?: readonly MadeAdapter[]
}

/** A step for both the reference and the addon. */
export interface PlanStep extends ReferenceStep {
  /** Rows that replace what an op computes, by value id. */
  readonly values?: Readonly<Record<number, Float32Array>>
  readonly samples?: ToyStep['samples']
  readonly pools?: ToyStep['pools']
  readonly carried?: ToyStep['carried']
}

/** A plan with made-up weights, run by the addon and by the reference on the same steps. */
export class MadeModel {
  readonly #tensors = new Map<string, Float32Array>()

  constructor(
    readonly plan: Plan,
    { deviation = 1, outlier = 1 } = {},
  ) {
    for (const { name, count } of plan.weights.flatMap(sourcesOf)) {
      if (this.#tensors.has(name)) continue
      const seed = this.#tensors.size + 1
      this.#tensors.set(name, normalNumbers(count, { seed, deviation, outlier }))
    }
  }

  get reference(): Reference {
    return new Reference(this.plan, (name) => this.#tensors.get(name)!)
  }

  /** Runs the steps on the addon, and gives the wanted values of each step. */
  run(
    steps: readonly PlanStep[],
    read: readonly number[],
    options: NativeOptions = {},
  ): RunPlanResult['steps'] {
    const { device = 'cpu', isa = '', threads = 1, blockSize = 16, limits, adapters = [] } = options
    const { batchInvariant = false } = options
    const pool = new Blocks(blockSize)
    // All groups have the same tables: those of states are one block.
    const states = this.plan.caches.some(({ kind }) => kind === 'state')
    const packed = steps.map((step) => {
      const sequences = step.sequences.map(({ id, start, tokens, length, adapter }) => ({
        ...{ start, tokens, length },
        adapter: adapters.findIndex(({ reference }) => reference === adapter),
        blocks: pool.of(id, states ? 1 : start + tokens.length),
      }))
      const samples =
        step.samples ?? step.sampleRows.map((tokenRow) => ({ tokenRow, logprobs: -1 }))
      const groups = this.plan.caches.length
      const [ints, floats] = packToy({
        ...{ sequences, samples, groups },
        ...{ pools: step.pools, carried: step.carried },
      })
      return { ints, floats, values: step.values }
    })
    const text = printPlan(this.plan, limits ?? { tokens: 1024, sequences: 16, samples: 80 })
    return runPlan(addon, {
      plan: text,
      device,
      batchInvariant,
      threads,
      isa,
      blockSize,
      numBlocks: pool.count,
      tensors: Object.fromEntries([
        ...this.plan.weights.flatMap((weight) => this.#native(weight)),
        ...adapters.flatMap(({ tensors }) => Object.entries(tensors)),
      ]),
      adapters: adapters.map(({ text }) => text),
      steps: packed,
      read,
    }).steps
  }

  #native({ type, sources }: Weight) {
    return sources.map(({ name, shape }) => {
      const numbers = this.#tensors.get(name)!
      const given = isQuantized(type) ? 'float32' : type
      return [name, { type: given, shape, data: stored(given, numbers) }] as const
    })
  }
}

function sourcesOf({ sources }: Weight) {
  return sources.map(({ name, shape }) => ({ name, count: shape.reduce((a, b) => a * b, 1) }))
}

/** The elements of a tensor as the addon wants them. */
export function stored(type: StoredType, numbers: Float32Array): Float32Array | Uint16Array {
  if (type === 'float32') return numbers
  const bits = Uint16Array.from(numbers, type === 'bfloat16' ? toBFloat16 : toFloat16)
  return asMade(type, numbers, bits)
}

/** The bits of a finite number as float16. */
function toFloat16(value: number): number {
  const rounded = roundTo('float16', value)
  const magnitude = Math.abs(rounded)
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)))
  const steps = magnitude / 2 ** (exponent - 10)
  return (rounded < 0 ? 0x8000 : 0) + (exponent + 14) * 1024 + steps
}

/** Hands out blocks, of different sequences in turn, in an order that is not rising. */
class Blocks {
  readonly #tables = new Map<string, number[]>()
  count = 1

  constructor(readonly blockSize: number) {}

  of(id: string, tokens: number): number[] {
    const table = this.#tables.get(id) ?? []
    this.#tables.set(id, table)
    const missing = Math.ceil(tokens / this.blockSize) - table.length
    const fresh = Array.from({ length: Math.max(0, missing) }, () => this.count++)
    table.push(...fresh.reverse())
    return [...table]
  }
}
