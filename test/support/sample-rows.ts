import { expect } from 'vitest'
import { readResult } from '../../lib/native/native-executor.js'
import {
  SAMPLE_FLOATS,
  SAMPLE_PROCESSED,
  SampleFloat,
  type SampleInt,
} from '../../lib/native/step.js'
import { PlanBuilder } from '../../lib/plan/builder.js'
import { printPlan } from '../../lib/plan/text.js'
import { readFixture } from './models.js'
import { runPlan } from './record-cases.js'
import { addon, concatenate } from './run-plan.js'
import { packToy } from './toy.js'

export interface Row {
  readonly logits: ArrayLike<number>
  readonly ints?: Partial<Record<keyof typeof SampleInt, number>>
  readonly floats?: Partial<Record<keyof typeof SampleFloat, number>>
  /** Token id, times in the output, 1 if in the prompt. */
  readonly penalties?: readonly (readonly [number, number, number])[]
  readonly bias?: Readonly<Record<number, number>>
  readonly allowed?: readonly number[]
}

export interface SampleOptions {
  readonly device?: 'cpu' | 'cuda'
  readonly isa?: string
  readonly threads?: number
}

const NEUTRAL = {
  temperature: 1,
  topP: 1,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
}

/** Samples all rows in one step of a plan that does nothing else. */
export function sample(
  rows: readonly Row[],
  { device = 'cpu', isa = '', threads = 2 }: SampleOptions = {},
) {
  const vocabSize = rows[0]!.logits.length
  const g = new PlanBuilder({
    name: 'sampling',
    vocabSize,
    weightType: 'float32',
    cacheType: 'float32',
  })
  const logits = g.gatherRows('logits', g.embed('x', g.matrix({ x: vocabSize }, vocabSize)))
  g.sample('sample', logits)
  const limits = { tokens: rows.length, sequences: 1, samples: rows.length }

  const words = Math.ceil(vocabSize / 32)
  const masks: number[][] = []
  const penalties: number[] = []
  const bias: [id: number, value: number][] = []
  const samples = rows.map((row, tokenRow) => {
    const entries = Object.entries(row.bias ?? {}).map(
      ([id, value]) => [Number(id), value] as const,
    )
    const ints = {
      tokenRow,
      logprobs: -1,
      seedLow: 1,
      counter: tokenRow,
      penaltyStart: penalties.length / 3,
      penaltyCount: row.penalties?.length ?? 0,
      biasStart: bias.length,
      biasCount: entries.length,
      mask: row.allowed ? masks.push(maskOf(row.allowed, words)) - 1 : -1,
      ...row.ints,
    }
    penalties.push(...(row.penalties ?? []).flat())
    for (const [id, value] of entries) bias.push([id, value])
    return ints
  })
  const sequences = [{ tokens: rows.map(() => 0), blocks: [] }]
  const biasIds = bias.map(([id]) => id)
  const [ints, floats] = packToy({ sequences, samples, masks, penalties, biasIds, groups: 0 })
  rows.forEach((row, r) => {
    for (const [name, value] of Object.entries({ ...NEUTRAL, ...row.floats }))
      floats[r * SAMPLE_FLOATS + SampleFloat[name as keyof typeof SampleFloat]] = value
  })
  bias.forEach(([, value], i) => (floats[rows.length * SAMPLE_FLOATS + i] = value))

  const table = new Float32Array(vocabSize * vocabSize)
  const [result] = runPlan(addon, {
    plan: printPlan(g.build(), limits),
    device,
    threads,
    isa,
    blockSize: 16,
    numBlocks: 1,
    tensors: { x: { type: 'float32', shape: [vocabSize, vocabSize], data: table } },
    steps: [
      {
        ints,
        floats,
        values: { 1: concatenate(rows.map((row) => Float32Array.from(row.logits))) },
      },
    ],
    read: [],
  }).steps
  return readResult(result!.ints, result!.floats)
}

function maskOf(allowed: readonly number[], words: number): number[] {
  const mask = new Array<number>(words).fill(0)
  for (const id of allowed) mask[id >> 5]! |= 1 << (id & 31)
  return mask
}

/** Token probabilities of every row after all processors. */
export function probabilities(rows: readonly Row[], options: SampleOptions = {}): Float64Array[] {
  const vocabSize = rows[0]!.logits.length
  const flags = { logprobs: vocabSize, flags: SAMPLE_PROCESSED }
  const all = rows.map((row) => ({ ...row, ints: { ...flags, ...row.ints } }))
  const { topStarts, topIds, topLogprobs } = sample(all, options)
  return rows.map((_, r) => {
    const row = new Float64Array(vocabSize)
    for (let i = topStarts[r]!; i < topStarts[r + 1]!; i++)
      row[topIds[i]!] = Math.exp(topLogprobs[i]!)
    return row
  })
}

interface FixtureCase {
  readonly name: string
  readonly params: Readonly<Record<string, number>>
  readonly probabilities: readonly (readonly number[])[]
}

export const fixture = readFixture('samplers.json') as {
  readonly logits: readonly (readonly number[])[]
  readonly history: readonly (readonly number[])[]
  readonly cases: readonly FixtureCase[]
}

/** A fixture's row of logits with a case's parameters. */
export function fixtureRow(params: Readonly<Record<string, number>>, r: number): Row {
  const { topK = 0, ...floats } = params
  const penalties = [...new Set(fixture.history[r])].map((id) => [id, 1, 0] as const)
  return { logits: fixture.logits[r]!, ints: { topK }, floats, penalties }
}

/** The same by sorting everything, in float64. */
export function bySorting(
  logits: ArrayLike<number>,
  { temperature = 1, topK = 0, topP = 1, minP = 0 },
) {
  const scaled = Array.from(logits, (x) => x / temperature)
  const order = scaled.map((_, id) => id).sort((a, b) => scaled[b]! - scaled[a]! || a - b)
  const largest = scaled[order[0]!]!
  const weights = scaled.map((x) => Math.exp(x - largest))
  let kept = order.filter((id) => weights[id]! >= minP)
  const kth = kept[topK - 1]
  if (topK > 0 && kth !== undefined) kept = kept.filter((id) => scaled[id]! >= scaled[kth]!)
  const total = kept.reduce((sum, id) => sum + weights[id]!, 0)
  let mass = 0
  kept = kept.filter((id) => {
    const reached = mass >= topP * total
    mass += weights[id]!
    return !reached
  })
  const rest = kept.reduce((sum, id) => sum + weights[id]!, 0)
  const result = new Float64Array(scaled.length)
  for (const id of kept) result[id] = weights[id]! / rest
  return result
}

/** Expects every row of the fixture to have a case's probabilities. */
export function expectCase(
  { params, probabilities: wanted }: FixtureCase,
  options: SampleOptions = {},
): void {
  const rows = wanted.map((_, r) => fixtureRow(params, r))
  expectProbabilities(probabilities(rows, options), wanted, 1e-5)
}

/** Expects every row of logits, so truncated, to keep the tokens that sorting keeps, and no others. */
export function expectTruncation(
  logits: readonly Float32Array[],
  params: NonNullable<Parameters<typeof bySorting>[1]>,
  options: SampleOptions = {},
): void {
  const { topK = 0, ...floats } = params
  const rows = logits.map((row) => ({ logits: row, ints: { topK }, floats }))
  const found = probabilities(rows, options)
  const wanted = logits.map((row) => bySorting(row, params))
  expect(found.map(keptBy)).toEqual(wanted.map(keptBy))
  expectProbabilities(found, wanted, 1e-6)
}

/** The tokens that can come. */
function keptBy(row: Float64Array): number[] {
  return [...row.keys()].filter((id) => row[id]! > 0)
}

function expectProbabilities(
  found: readonly Float64Array[],
  wanted: readonly ArrayLike<number>[],
  tolerance: number,
): void {
  wanted.forEach((row, r) => {
    for (let id = 0; id < row.length; id++)
      expect(Math.abs(found[r]![id]! - row[id]!), `row ${r}, token ${id}`).toBeLessThan(tolerance)
  })
}
