/**
 * With OCTAVO_RECORD_CASES=FOLDER, whatever tests run on device 'cuda', or on the instruction set OCTAVO_RECORD_ISA, is
 * written there as recordings (docs/replay.md): the plan, its weights, what is put in, and what expectClose expects
 * within which tolerance. Of numbers that were made from a seed only the seed is written. So octavo-replay runs the same tests where there is no Node: on a machine with a GPU
 * (docs/cuda.md), in an emulator of another processor.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import type { Addon, RunPlanRequest, RunPlanResult } from '../../lib/native/addon-types.js'
import { recipesOf, type Recipe } from './made-numbers.js'

const folder = process.env.OCTAVO_RECORD_CASES
const recordedIsa = process.env.OCTAVO_RECORD_ISA
const PROBE = 2

interface Wanted {
  readonly value: number
  readonly numbers: Float32Array
  readonly tolerances: Float32Array
}

interface Case {
  readonly request: RunPlanRequest
  readonly result: RunPlanResult
  /** A list for each step. */
  readonly wanted: Wanted[][]
}

type Numbers = Int32Array | Float32Array | Uint16Array
type Tolerance = (value: number, row: number, column: number) => number

let cases: Case[] = []
const written = new Map<string, number>()
/** Where an array came from that the addon gave. */
const origins = new WeakMap<Float32Array, { wanted: Wanted[]; value: number }>()

if (folder !== undefined) {
  afterEach(() => {
    for (const each of cases) write(each, nextName(expect.getState().currentTestName ?? 'case'))
    cases = []
  })
}

/** `addon.runPlan`, remembered. */
export function runPlan(addon: Addon, request: RunPlanRequest): RunPlanResult {
  const result = addon.runPlan(request)
  const isWanted =
    recordedIsa === undefined ? request.device === 'cuda' : request.isa === recordedIsa
  if (folder === undefined || !isWanted) return result
  const wanted = result.steps.map(({ values }) => {
    const ofStep: Wanted[] = []
    for (const [value, found] of Object.entries(values))
      origins.set(found, { wanted: ofStep, value: Number(value) })
    return ofStep
  })
  cases.push({ request, result, wanted })
  return result
}

/** What the numbers that the addon gave are expected to be. */
export function noteExpected(
  found: Float32Array,
  rows: readonly Float64Array[],
  tolerance: Tolerance,
): void {
  const origin = origins.get(found)
  if (origin === undefined) return
  const exact = rows.flatMap((row) => [...row])
  const allowed = rows.flatMap((row, r) => [...row].map((value, c) => tolerance(value, r, c)))
  const numbers = Float32Array.from(exact, (value, i) => roundWithin(allowed[i]!, value))
  const tolerances = numbers.map((rounded, i) =>
    roundUp(allowed[i]! + Math.abs(rounded - exact[i]!)),
  )
  origin.wanted.push({ value: origin.value, numbers, tolerances })
}

/** The value without the bits that say less than 1/64 of its tolerance: recordings are carried about, compressed. */
function roundWithin(allowed: number, value: number): number {
  const step = 2 ** Math.floor(Math.log2(allowed / 32))
  return step > 0 && Number.isFinite(value / step) ? Math.round(value / step) * step : value
}

/** A tolerance with five bits, at most a sixteenth larger. */
function roundUp(tolerance: number): number {
  const step = 2 ** (Math.floor(Math.log2(tolerance)) - 4)
  return step > 0 ? Math.ceil(tolerance / step) * step : tolerance
}

function nextName(test: string): string {
  const base = test.replace(/[^\w]+/g, '-').slice(0, 90)
  const count = (written.get(base) ?? 0) + 1
  written.set(base, count)
  return `${base}-${count}`
}

function write({ request, result, wanted }: Case, name: string): void {
  const place = join(folder!, name)
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, 'plan.txt'), request.plan)
  const pool = `pool blockSize=${request.blockSize} numBlocks=${request.numBlocks} hostBlocks=0`
  const lines = ['octavo-recording 1', pool]
  const kept: Numbers[] = []
  let offset = 0
  for (const [tensor, { type, shape, data }] of Object.entries(request.tensors)) {
    const made = recipesOf(data)
    if (made?.length === 1) {
      const { seed, deviation, outlier } = made[0]!
      lines.push(`made ${tensor} ${type} [${shape.join()}] ${seed} ${deviation} ${outlier}`)
    } else {
      const range = `${offset} ${data.byteLength}`
      lines.push(`tensor ${tensor} ${type} [${shape.join()}] ${range} weights.bin`)
      offset += data.byteLength
      kept.push(data)
    }
  }
  for (const [i, adapter] of (request.adapters ?? []).entries()) {
    writeFileSync(join(place, `adapter-${i}.txt`), adapter)
    lines.push(`adapter adapter-${i}.txt`)
  }
  writeFileSync(join(place, 'recording.txt'), `${lines.join('\n')}\n`)
  if (kept.length > 0) writeFileSync(join(place, 'weights.bin'), bytesOf(kept))
  const events = request.steps.flatMap((step, i) => probe(step, result.steps[i]!, wanted[i] ?? []))
  writeFileSync(join(place, 'events.bin'), bytesOf(events))
}

function probe(
  { ints, floats, values = {} }: RunPlanRequest['steps'][number],
  result: RunPlanResult['steps'][number],
  wanted: readonly Wanted[],
): Numbers[] {
  const arrays = [ints, floats, result.ints, result.floats]
  const given = Object.entries(values)
  return [
    Int32Array.of(PROBE, ...arrays.map(({ length }) => length)),
    ...arrays,
    Int32Array.of(given.length),
    ...given.flatMap(([value, rows]) => [Int32Array.of(Number(value)), ...rowsOf(rows)]),
    Int32Array.of(wanted.length),
    ...wanted.flatMap(({ value, numbers, tolerances }) => [
      Int32Array.of(value, numbers.length),
      numbers,
      tolerances,
    ]),
  ]
}

/** The rows that a value is given: how many numbers and these, or minus how many recipes and those. */
function rowsOf(rows: Float32Array): Numbers[] {
  const made = recipesOf(rows)
  if (made === undefined) return [Int32Array.of(rows.length), rows]
  return [Int32Array.of(-made.length), ...made.map(wordsOf)]
}

const RECORDED_TYPES = ['float32', 'bfloat16', 'float16'] as const

function wordsOf({ seed, count, type, deviation, outlier }: Recipe): Int32Array {
  const factors = new Int32Array(Float64Array.of(deviation, outlier).buffer)
  return Int32Array.of(seed, count, RECORDED_TYPES.indexOf(type), ...factors)
}

function bytesOf(arrays: readonly Numbers[]): Buffer {
  return Buffer.concat(
    arrays.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  )
}
