import { describe, expect, it } from 'vitest'
import { loadAddon } from '../lib/native/addon.js'
import type { RunPlanRequest } from '../lib/native/addon-types.js'
import { RESULT_INTS } from '../lib/native/step.js'
import { packToy } from './support/toy.js'

const addon = loadAddon()

const PLAN = `octavo-plan 1 one vocab=4
# a comment, and an empty line

limits T=4 S=1 R=1 arena=320
cache 0 kv full float32 layers=1 kvHeads=1 keyDim=2 valueDim=2
rope 0 dim=2 scale=1 invFreq=[1]
weight 0 matrix float32 [4,2] table
weight 1 matrix float32 [6,2] q.weight:2 k.weight:2 v.weight:2
weight 2 vector float32 [2] gain
%0 [T,2] @0 = embed() weight=0 scale=1 "embed"
%1 [T,2] @64 = norm(%0) norm=rms eps=0.00001 weight=2 "norm"
%2 [T,6] @128 = linear(%1) weight=1 "qkv"
%3 [T,2] @64 = ropeStoreKv(%2) rope=0 group=0 layer=0 heads=1 kvHeads=1 headDim=2 "rope"
%4 [T,2] @256 = pagedAttention(%3) group=0 layer=0 heads=1 kvHeads=1 headDim=2 scale=1e-7 "attn"
%5 [R,2] @64 = gatherRows(%4) "gather"
%6 [R,4] @128 = linear(%5) weight=0 "head"
sample(%6) "sample"
`

const matrix = (rows: number, data: number[]) =>
  ({ type: 'float32', shape: [rows, 2], data: Float32Array.from(data) }) as const

function request(plan: string, change: Partial<RunPlanRequest> = {}): RunPlanRequest {
  return {
    plan,
    threads: 1,
    isa: 'portable',
    blockSize: 4,
    numBlocks: 4,
    tensors: {
      table: matrix(4, [1, 0, 0, 1, -1, 0, 0, -1]),
      'q.weight': matrix(2, [1, 0, 0, 1]),
      'k.weight': matrix(2, [1, 0, 0, 1]),
      'v.weight': matrix(2, [1, 0, 0, 1]),
      gain: { type: 'float32', shape: [2], data: Float32Array.of(1, 1) },
    },
    steps: [],
    read: [],
    ...change,
  }
}

const prompt = packToy({
  sequences: [{ tokens: [1, 2, 3], blocks: [1] }],
  samples: [{ tokenRow: 2, logprobs: 4 }],
})
const step = { ints: prompt[0], floats: prompt[1] }

describe('a plan that is read', () => {
  it('takes comments, empty lines and every form of a number', () => {
    expect(addon.runPlan(request(PLAN))).toEqual({ steps: [] })
    expect(addon.runPlan(request(PLAN.replaceAll('\n', '\r\n')))).toEqual({ steps: [] })
  })

  const replaced = (from: string, to: string) => {
    expect(PLAN).toContain(from)
    return PLAN.replace(from, to)
  }

  it.each([
    ['octavo-plan 1', 'octavo-plan 2', "plan line 1: expected '1', found '2'"],
    ['octavo-plan 1', 'hello 1', "plan line 1: expected 'octavo-plan', found 'hello'"],
    ['vocab=4', 'vocab=0', "plan line 1: expected vocab (an integer of at least 1), found '0'"],
    ['vocab=4', '', 'plan line 1: expected vocab=…, found none'],
    [
      'vocab=4',
      'vocab=4 rank=0 ranks=2',
      'plan line 1: this is the plan of one of 2 ranks, expected that of the whole model',
    ],
    ['vocab=4', 'vocab=4 vocab=5', "plan line 1: 'vocab' is given twice"],
    ['T=4', 'T=4.5', "plan line 4: expected T (an integer of at least 1), found '4.5'"],
    ['arena=320', 'arena', "plan line 4: expected key=value, found 'arena'"],
    ['cache 0', 'cache 1', "plan line 5: expected number 0, found '1'"],
    [
      'kv full',
      'kv some',
      "plan line 5: expected a cache of kind 'full', 'window' or 'state', found 'some'",
    ],
    ['kv full', 'kv window', 'plan line 5: expected window=…, found none'],
    ['kv full', 'kv state', 'plan line 5: expected elements=…, found none'],
    ['full float32', 'full int4', "plan line 5: unknown type of a cache 'int4'"],
    ['dim=2', 'dim=4', 'plan line 6: expected 2 frequencies for dim=4, found 1'],
    ['invFreq=[1]', 'invFreq=1', "plan line 6: expected invFreq in square brackets, found '1'"],
    ['invFreq=[1]', 'invFreq=[x]', "plan line 6: expected a frequency (a number), found 'x'"],
    ['scale=1', 'scale=1e999', "plan line 6: expected scale (a number), found '1e999'"],
    ['0 matrix', '0 tensor', "plan line 7: expected 'matrix' or 'vector', found 'tensor'"],
    ['[4,2] table', '[4] table', 'plan line 7: expected matrix of two dimensions, found [4]'],
    [
      '[4,2] table',
      '[4,2]',
      'plan line 7: expected the name of a checkpoint tensor, found the end',
    ],
    ['[4,2] table', '[9999999999,2] table', 'plan line 7: the shape [9999999999,2] is too large'],
    ['k.weight:2', 'k.weight:3', 'plan line 8: its sources have 7 rows, expected 6'],
    ['k.weight:2', 'k.weight', 'plan line 8: expected k.weight:rows in a fused weight'],
    [
      'vector float32',
      'vector float16',
      'plan line 9: expected a vector of float32, found float16',
    ],
    ['%0 [T', '%1 [T', "plan line 10: expected number 0, found '1'"],
    ['%0 [T,2]', '%0 [X,2]', "plan line 10: expected rows T, S or R, found 'X'"],
    ['@0 =', '@32 =', "plan line 10: expected an offset that 64 divides, found '@32'"],
    ['@256', '@320', 'plan line 14: the value ends at byte 352 of an arena of 320'],
    ['embed()', 'embed', "plan line 10: expected kind(%inputs), found 'embed'"],
    [
      'norm(%0)',
      'norm(%1)',
      "plan line 11: expected a value that an earlier line wrote, found '%1'",
    ],
    ['norm(%0)', 'norm(0)', "plan line 11: expected a value that an earlier line wrote, found '0'"],
    ['weight=2', 'weight=3', 'plan line 11: expected weight below 3, found 3'],
    ['rope=0', 'rope=1', 'plan line 13: expected rope below 1, found 1'],
    ['group=0', 'group=1', 'plan line 13: expected group below 1, found 1'],
    ['layer=0', 'layer=1', 'plan line 13: expected layer below 1, found 1'],
    ['layer=0', 'layer=x', 'ropeStoreKv "rope": expected layer to be an integer, found \'x\''],
    ['"gather"', 'gather', 'plan line 15: expected a label in quotes at the end of the line'],
    [
      '"gather"',
      '"a"b"',
      "plan line 15: expected a label without quotes or backslashes, found 'a\"b'",
    ],
    ['sample(%6) "sample"', 'rope 1', "plan line 17: 'rope' comes too late"],
  ])('%s → %s', (from, to, message) => {
    const plan = replaced(from, to)
    expect(() => addon.runPlan(request(plan))).toThrow(message)
  })

  it.each([
    ['', "plan: expected the lines 'octavo-plan' and 'limits'"],
    [PLAN.split('\n').slice(0, 9).join('\n'), 'plan: expected at least one op'],
  ])('is not empty', (plan, message) => {
    expect(() => addon.runPlan(request(plan))).toThrow(message)
  })

  it('names the op that a backend cannot run', () => {
    expect(() => addon.runPlan(request(replaced('gatherRows(%4)', 'teleport(%4)')))).toThrow(
      /teleport "gather"/,
    )
    expect(() => addon.runPlan(request(replaced('eps=0.00001', 'eps=x')))).toThrow(
      /norm "norm": expected eps to be a number, found 'x'/,
    )
  })
})

describe('runPlan', () => {
  it('gives values as the last op that wrote them left them', () => {
    const { steps } = addon.runPlan(request(PLAN, { steps: [step], read: [0, 1, 6] }))
    const { values, ints } = steps[0]!
    expect(values[0]).toEqual(Float32Array.of(0, 1, -1, 0, 0, -1))
    const root = Math.fround(1 / Math.sqrt(0.5 + 1e-5))
    values[1]!.forEach((x, i) => expect(x).toBeCloseTo(root * values[0]![i]!, 6))
    expect(values[6]).toHaveLength(4)
    const best = values[6]!.indexOf(Math.max(...values[6]!))
    expect(ints[RESULT_INTS]).toBe(best)
  })

  it('puts values in place of what their ops would compute', () => {
    const given = { 5: Float32Array.of(0, -3) }
    const { steps } = addon.runPlan(
      request(PLAN, { steps: [{ ...step, values: given }], read: [5, 6] }),
    )
    expect(steps[0]!.values[5]).toEqual(given[5])
    expect(steps[0]!.values[6]).toEqual(Float32Array.of(0, -3, 0, 3))
    expect(steps[0]!.ints[RESULT_INTS]).toBe(3)
  })

  it('keeps the cache and the last samples from step to step', () => {
    const next = packToy({
      sequences: [{ tokens: [-1], start: 3, blocks: [1] }],
      samples: [{ tokenRow: 0 }],
    })
    const { steps } = addon.runPlan(
      request(PLAN, { steps: [step, { ints: next[0], floats: next[1] }], read: [0] }),
    )
    const drawn = steps[0]!.ints[RESULT_INTS]!
    const table = [1, 0, 0, 1, -1, 0, 0, -1]
    expect([...steps[1]!.values[0]!]).toEqual(table.slice(2 * drawn, 2 * drawn + 2))
  })

  it.each<[string, Partial<RunPlanRequest>, string]>([
    ['a value id', { steps: [step], read: [7] }, 'expected the id of a value of the plan, found 7'],
    [
      'the length of a value',
      { steps: [{ ...step, values: { 5: new Float32Array(3) } }] },
      'gatherRows "gather": expected 2 numbers for its value, found 3',
    ],
    ['a tensor', { tensors: {} }, "tensor 'table' is wanted by the plan and was not given"],
    [
      'the shape of a tensor',
      { tensors: { table: matrix(3, [0, 0, 0, 0, 0, 0]) } },
      "tensor 'table' has shape [3,2], the plan wants [4,2]",
    ],
    [
      'the length of a tensor',
      { tensors: { table: matrix(4, [1, 2, 3]) } },
      'table: the shape does not fit the data',
    ],
    [
      'the array of a tensor',
      { tensors: { table: { type: 'float16', shape: [4, 2], data: new Float32Array(8) } } },
      'data: not the array for elements of float16',
    ],
  ])('refuses %s', (_, change, message) => {
    expect(() => addon.runPlan(request(PLAN, change))).toThrow(message)
  })
})
