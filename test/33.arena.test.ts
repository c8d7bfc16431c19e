import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { layOutArena, rowsOf } from '../lib/plan/arena.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { Op, Plan, PlanLimits, Value } from '../lib/plan/ops.js'
import { FIXTURES } from './support/models.js'

/**
 * Runs the plan on an imaginary buffer: each op marks the bytes of its output as that value's. An
 * input that has lost its bytes to another value by the time it is read was overlapped while alive.
 */
function checkArena(plan: Plan, limits: PlanLimits): void {
  const { offsets, bytes } = layOutArena(plan, limits)
  const unit = 64
  const owner = new Int32Array(bytes / unit).fill(-1)
  const unitsOf = (value: Value) => {
    const start = offsets[value.id]! / unit
    const size = Math.ceil((rowsOf(value, limits) * value.cols * 4) / unit)
    return { start, end: start + size }
  }
  for (const op of plan.ops) {
    const inputs = readsOf(op)
    if ('out' in op) {
      const { start, end } = unitsOf(op.out)
      expect(Number.isInteger(start) && end <= owner.length, `${op.label}: inside`).toBe(true)
      owner.fill(op.out.id, start, end)
    }
    for (const value of inputs) {
      const { start, end } = unitsOf(value)
      const kept = owner.subarray(start, end).every((id) => id === value.id)
      expect(kept, `${op.label}: %${value.id} is intact`).toBe(true)
    }
  }
}

function readsOf(op: Op): readonly Value[] {
  const residual = op.kind === 'norm' ? op.residual : undefined
  return [...('input' in op ? [op.input] : []), ...(residual ? [residual] : [])]
}

/** Bytes that a run of the plan cannot do without: the most that are alive at one op. */
function lowerBound(plan: Plan, limits: PlanLimits): number {
  const lastReader = new Map<number, number>()
  plan.ops.forEach((op, index) => {
    for (const { id } of readsOf(op)) lastReader.set(id, index)
  })
  const alive = new Map<number, number>()
  let most = 0
  plan.ops.forEach((op, index) => {
    if ('out' in op) alive.set(op.out.id, rowsOf(op.out, limits) * op.out.cols * 4)
    most = Math.max(
      most,
      [...alive.values()].reduce((sum, size) => sum + size, 0),
    )
    for (const id of alive.keys()) if ((lastReader.get(id) ?? index) <= index) alive.delete(id)
  })
  return most
}

/** A plan of random ops: each reads any value that there is. */
function randomPlan(choices: readonly { op: number; input: number; cols: number }[]): Plan {
  const types = { weightType: 'float32', cacheType: 'float32' } as const
  const g = new PlanBuilder({ name: 'random', vocabSize: 7, ...types })
  const values = [g.embed('embed', g.matrix({ table: 7 }, 24))]
  choices.forEach(({ op, input, cols }, i) => {
    const x = values[input % values.length]!
    const residual = values.find(
      (other) => other !== x && other.cols === x.cols && other.rows === x.rows,
    )
    if (op === 0) values.push(g.norm(`norm${i}`, x, { norm: 'rms', eps: 1, residual }))
    else if (op === 1 && x.rows === 'T') values.push(g.gatherRows(`gather${i}`, x))
    else values.push(g.linear(`linear${i}`, x, { weight: g.matrix({ [`w${i}`]: cols }, x.cols) }))
  })
  return g.build()
}

function llama(change: object): Plan {
  const file = join(FIXTURES, 'models/llama/config.json')
  const json = JSON.parse(readFileSync(file, 'utf8')) as object
  const config = readModelConfig({ ...json, ...change })
  return buildPlan(config, { weightType: 'bfloat16', cacheType: 'float32' })
}

const LIMITS = { tokens: 37, sequences: 4, samples: 5 }

describe('the arena', () => {
  it('never gives the bytes of a living value away, whatever the plan', () => {
    const choice = fc.record({
      op: fc.nat(2),
      input: fc.nat(),
      cols: fc.integer({ min: 1, max: 50 }),
    })
    const limits = fc.record({
      tokens: fc.integer({ min: 1, max: 40 }),
      sequences: fc.integer({ min: 1, max: 8 }),
      samples: fc.integer({ min: 1, max: 8 }),
    })
    fc.assert(
      fc.property(fc.array(choice, { maxLength: 25 }), limits, (choices, limits) => {
        checkArena(randomPlan(choices), limits)
      }),
    )
  })

  it('keeps the residual of a Llama through all its layers', () => {
    checkArena(llama({ num_hidden_layers: 8 }), LIMITS)
  })

  it('reuses bytes: more layers take no more', () => {
    const two = layOutArena(llama({ num_hidden_layers: 2 }), LIMITS)
    const many = layOutArena(llama({ num_hidden_layers: 40 }), LIMITS)
    expect(many.bytes).toBe(two.bytes)
  })

  it.each([
    { hidden_size: 64, intermediate_size: 96, vocab_size: 256 },
    { hidden_size: 4096, head_dim: 128, intermediate_size: 14336, vocab_size: 128256 },
    { hidden_size: 576, head_dim: 64, intermediate_size: 1536, vocab_size: 49152 },
  ])('is as small as the living values allow for Llama %o', (change) => {
    const plan = llama({ ...change, num_attention_heads: 4 })
    const limits = { tokens: 2048, sequences: 256, samples: 256 }
    expect(layOutArena(plan, limits).bytes).toBe(lowerBound(plan, limits))
  })

  it('grows with the limits', () => {
    const plan = llama({})
    const small = layOutArena(plan, { tokens: 16, sequences: 1, samples: 1 }).bytes
    expect(layOutArena(plan, { tokens: 160, sequences: 1, samples: 1 }).bytes).toBe(10 * small)
  })
})
