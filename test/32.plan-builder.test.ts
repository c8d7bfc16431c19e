import { beforeEach, describe, expect, it } from 'vitest'
import type { EngineError } from '../lib/errors.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import { groupLayers, type LayerCache } from '../lib/plan/layer-groups.js'
import type { Value } from '../lib/plan/ops.js'
import { cacheBytesPerToken, parameterCount, weightBytes } from '../lib/plan/size.js'

const RMS = { norm: 'rms', eps: 1e-6 } as const

describe('PlanBuilder', () => {
  let g: PlanBuilder
  let kv: number
  let x: Value // [T, 32]
  let heads: { group: number; layer: number; heads: number }

  beforeEach(() => {
    g = builder()
    kv = g.cache({ name: 'kv', layers: 1, kvHeads: 2, keyDim: 8, valueDim: 8 })
    x = g.embed('embed', g.matrix({ 'embed.weight': 100 }, 32))
    heads = { group: kv, layer: 0, heads: 4 }
  })

  const linear = (label: string, input: Value, rows: number) =>
    g.linear(label, input, g.modules('m', { [label]: rows }, { columns: input.cols, bias: false }))

  function expectRefusal(record: () => unknown, message: string): void {
    const refusal = {
      code: 'unsupported_model',
      message: expect.stringContaining(message) as string,
    }
    expect(record).toThrow(expect.objectContaining(refusal) as EngineError)
  }

  it('infers rows and columns', () => {
    expect(x).toMatchObject({ rows: 'T', cols: 32 })
    expect(g.norm('norm', x, RMS)).toMatchObject({ rows: 'T', cols: 32 })
    const qkv = linear('qkv', x, 64)
    expect(qkv).toMatchObject({ rows: 'T', cols: 64 })
    const q = g.ropeStoreKv('rope', qkv, heads)
    expect(q).toMatchObject({ rows: 'T', cols: 32 })
    expect(g.pagedAttention('attn', q, { ...heads, scale: 1 })).toMatchObject({ cols: 32 })
    const gated = { activation: 'silu', gated: true } as const
    expect(g.activation('gated', x, gated)).toMatchObject({ cols: 16 })
    expect(g.activation('plain', x, { ...gated, gated: false })).toMatchObject({ cols: 32 })
    const gathered = g.gatherRows('gather', x)
    expect(gathered).toMatchObject({ rows: 'R', cols: 32 })
    expect(linear('head', gathered, 100)).toMatchObject({ rows: 'R', cols: 100 })
  })

  it('records the ops in order with what they need', () => {
    g.ropeStoreKv('rope', linear('qkv', x, 64), heads)
    const { ops, values, vocabSize, name } = g.build()
    expect(ops.map((op) => `${op.kind} ${op.label}`)).toEqual([
      'embed embed',
      'linear qkv',
      'ropeStoreKv rope',
    ])
    expect(ops[2]).toMatchObject({ group: 0, layer: 0, heads: 4, kvHeads: 2, headDim: 8 })
    expect(values).toHaveLength(3)
    expect({ vocabSize, name }).toEqual({ vocabSize: 100, name: 'toy' })
  })

  describe('declares weights', () => {
    it('fuses several by rows and keeps their sources', () => {
      const { weight, bias } = g.modules('m', { a: 4, b: 2 }, { columns: 32, bias: true })
      expect(weight).toMatchObject({ role: 'matrix', type: 'bfloat16', shape: [6, 32] })
      expect(weight.sources).toEqual([
        { name: 'm.a.weight', rows: 4, shape: [4, 32] },
        { name: 'm.b.weight', rows: 2, shape: [2, 32] },
      ])
      expect(bias).toMatchObject({ role: 'vector', type: 'float32', shape: [6] })
      expect(bias?.sources).toEqual([
        { name: 'm.a.bias', rows: 4, shape: [4] },
        { name: 'm.b.bias', rows: 2, shape: [2] },
      ])
    })

    it('once where they are tied', () => {
      const table = g.matrix({ 'embed.weight': 100 }, 32)
      g.linear('head', x, { weight: table })
      g.ropeStoreKv('rope', linear('qkv', x, 64), heads)
      expect(g.build().weights.map((weight) => weight.sources[0]?.name)).toEqual([
        'embed.weight',
        'm.qkv.weight',
      ])
    })

    it('and refuses one tensor in two forms', () => {
      const again = 'weight embed.weight is declared twice, differently'
      expectRefusal(() => g.matrix({ 'embed.weight': 100 }, 16), again)
      expectRefusal(() => g.vector({ 'embed.weight': 100 }), again)
      expectRefusal(() => g.matrix({ other: 1, 'embed.weight': 100 }, 32), again)
    })
  })

  it('declares equal ropes once', () => {
    const rope = { dim: 8, scale: 1, invFreq: [1, 0.5, 0.25, 0.125] }
    expect(g.rope(rope)).toBe(g.rope({ ...rope }))
    expect(g.rope({ ...rope, scale: 2 }).id).toBe(1)
  })

  describe('refuses, naming the op', () => {
    it('a linear whose input has other columns', () => {
      const weights = g.modules('mlp', { down_proj: 32 }, { columns: 3072, bias: false })
      const message = 'linear mlp.down_proj: input has 32 columns, weight wants 3072'
      expectRefusal(() => g.linear('mlp.down_proj', x, weights), message)
    })

    it('a bias of another length', () => {
      const weight = g.matrix({ w: 16 }, 32)
      const bias = g.vector({ b: 8 })
      expectRefusal(() => g.linear('l', x, { weight, bias }), 'linear l: b has 8 elements')
    })

    it('a vector for a matrix and a matrix for a vector', () => {
      const vector = g.vector({ v: 32 })
      const matrix = g.matrix({ m: 32 }, 32)
      expectRefusal(() => g.linear('l', x, { weight: vector }), 'linear l: v is a vector')
      expectRefusal(() => g.norm('n', x, { ...RMS, weight: matrix }), 'norm n: m is a matrix')
    })

    it('a norm whose residual has another shape or is its input', () => {
      const half = linear('half', x, 16)
      const wrong = 'norm n: input has 16 columns, residual 32'
      expectRefusal(() => g.norm('n', half, { ...RMS, residual: x }), wrong)
      expectRefusal(() => g.norm('m', x, { ...RMS, residual: x }), 'are the same value')
      const gathered = g.gatherRows('gather', x)
      expectRefusal(() => g.norm('r', gathered, { ...RMS, residual: x }), 'has R rows, residual T')
    })

    it('heads that do not fit the cache group', () => {
      const wide = 'ropeStoreKv r: input has 32 columns, q, k and v take 64'
      expectRefusal(() => g.ropeStoreKv('r', x, heads), wide)
      const odd = { ...heads, heads: 3 }
      expectRefusal(() => g.ropeStoreKv('o', x, odd), '3 heads cannot share 2 key/value heads')
      const beyond = { ...heads, layer: 1 }
      expectRefusal(() => g.ropeStoreKv('b', x, beyond), 'cache kv has 1 layers, no layer 1')
      const nowhere = { ...heads, group: 7 }
      expectRefusal(() => g.ropeStoreKv('n', x, nowhere), 'there is no cache group 7')
      const rope = g.rope({ dim: 16, scale: 1, invFreq: [] })
      const qkv = linear('qkv', x, 64)
      expectRefusal(() => g.ropeStoreKv('t', qkv, { ...heads, rope }), 'rope turns 16 of 8')
    })

    it('a cache layer that is read before it is written, or written twice, or never', () => {
      const read = () => g.pagedAttention('attn', x, { ...heads, scale: 1 })
      expectRefusal(read, 'pagedAttention attn: layer 0 of the cache is read before it is written')
      expectRefusal(() => g.build(), 'cache kv: no op writes layer 0 of 1')
      const qkv = linear('qkv', x, 64)
      g.ropeStoreKv('one', qkv, heads)
      expectRefusal(() => g.ropeStoreKv('two', qkv, heads), 'ropeStoreKv two: layer 0')
    })

    it('attention over another number of columns', () => {
      const qkv = linear('qkv', x, 64)
      g.ropeStoreKv('rope', qkv, heads)
      const attend = () => g.pagedAttention('attn', qkv, { ...heads, scale: 1 })
      expectRefusal(attend, 'pagedAttention attn: input has 64 columns, the heads take 32')
    })

    it('gated columns that have no halves', () => {
      const odd = linear('odd', x, 5)
      const gated = { activation: 'relu', gated: true } as const
      expectRefusal(() => g.activation('act', odd, gated), 'activation act: gated input has 5')
    })

    it('sampling from token rows or from another vocabulary', () => {
      expectRefusal(() => g.sample('s', x), 'sample s: input has T rows, sampling wants R')
      const gathered = g.gatherRows('gather', x)
      expectRefusal(
        () => g.sample('v', gathered),
        'sample v: input has 32 columns, the vocabulary 100',
      )
      expectRefusal(() => g.gatherRows('again', gathered), 'gatherRows again: input has R rows')
    })

    it('a table of another vocabulary', () => {
      const table = g.matrix({ small: 99 }, 32)
      expectRefusal(() => g.embed('e', table), 'embed e: weight has 99 rows, the vocabulary 100')
    })

    it('a label used twice, and a value of another plan', () => {
      expectRefusal(() => g.gatherRows('embed', x), 'gatherRows embed: the label is used twice')
      const other = builder()
      const message = 'gatherRows gather: value %0 is not of this plan'
      expectRefusal(() => other.gatherRows('gather', x), message)
    })
  })

  it('tells the size of the model and of its cache', () => {
    const bias = g.vector({ b: 64 })
    const qkv = g.linear('qkv', x, { weight: g.matrix({ w: 64 }, 32), bias })
    g.ropeStoreKv('rope', qkv, heads)
    const plan = g.build()
    expect(parameterCount(plan)).toBe(100 * 32 + 64 * 32 + 64)
    expect(weightBytes(plan)).toBe(100 * 32 * 2 + 64 * 32 * 2 + 64 * 4)
    expect(cacheBytesPerToken(plan)).toBe(2 * (8 + 8) * 2)
  })
})

function builder(): PlanBuilder {
  const types = { weightType: 'bfloat16', cacheType: 'float16' } as const
  return new PlanBuilder({ name: 'toy', vocabSize: 100, ...types })
}

describe('layers of several kinds', () => {
  const tokens = { kvHeads: 2, keyDim: 8, valueDim: 8 }
  const groupsOf = (layers: readonly LayerCache[]) =>
    groupLayers(layers, 'float32').groups.map(({ name, layers }) => `${name} ${layers}`)

  it('form groups of about equal blocks', () => {
    const windowed = { ...tokens, window: 32 }
    expect(groupsOf([tokens, tokens])).toEqual(['kv 2'])
    expect(groupsOf([windowed, windowed, windowed, tokens, windowed, windowed])).toEqual([
      ...['window32.0 1', 'window32.1 1', 'window32.2 1', 'window32.3 1', 'window32.4 1'],
      'full 1',
    ])
  })

  it('put as many states into a block as it holds', () => {
    // A block of 16 tokens has 16 × 2 × (8 + 8) numbers a layer.
    const state = (elements: number) => Array.from({ length: 5 }, () => ({ elements }))
    expect(groupsOf([...state(100), tokens])).toEqual(['state 5', 'kv 1'])
    expect(groupsOf([...state(200), tokens])).toEqual(['state.0 2', 'state.1 3', 'kv 1'])
    expect(groupsOf(state(100))).toEqual(['state 5'])
  })
})
