import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { Plan } from '../lib/plan/ops.js'
import { printPlan } from '../lib/plan/text.js'
import { FIXTURES } from './support/models.js'

const LIMITS = { tokens: 64, sequences: 8, samples: 16 }
const DEMO = fileURLToPath(new URL('../models/demo', import.meta.url))

function planOf(folder: string, change: object = {}): Plan {
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object
  const config = readModelConfig({ ...json, ...change })
  return buildPlan(config, { weightType: config.storedType, cacheType: 'float16' })
}

describe('the text form of a plan', () => {
  it.each(['llama', 'llama-tied-gqa1', 'llama-biases-headdim', 'llama-rope-llama3'])(
    '%s',
    (name) => {
      expect(printPlan(planOf(join(FIXTURES, 'models', name)), LIMITS)).toMatchSnapshot()
    },
  )

  it('demo, its first two layers', () => {
    expect(printPlan(planOf(DEMO, { num_hidden_layers: 2 }), LIMITS)).toMatchSnapshot()
  })

  it('has a line for each thing, as the documents describe it', () => {
    const types = { weightType: 'float32', cacheType: 'bfloat16' } as const
    const g = new PlanBuilder({ name: 'toy', vocabSize: 9, ...types })
    const group = g.cache({ name: 'kv', layers: 1, kvHeads: 1, keyDim: 2, valueDim: 2 })
    const dynamic = { base: 10000, factor: 4, original: 2048 }
    const rope = g.rope({ dim: 2, scale: 1.5, invFreq: [1], dynamic })
    const x = g.embed('embed', g.matrix({ e: 9 }, 4), 2)
    const parts = { a: 4, b: 4 }
    const y = g.linear('qkv', x, g.modules('m', parts, { columns: 4, bias: true }))
    const heads = { group, layer: 0, heads: 2 }
    const q = g.ropeStoreKv('rope', y, { ...heads, rope })
    const mixed = g.pagedAttention('attn', q, { ...heads, scale: 0.5 })
    const weight = g.vector({ gain: 4 })
    const bias = g.vector({ shift: 4 })
    const z = g.norm('norm', mixed, { norm: 'layer', eps: 1e-7, residual: x, weight, bias })
    const act = g.activation('act', z, { activation: 'geluTanh', gated: false })
    g.sample(
      'draw',
      g.linear('head', g.gatherRows('gather', act), { weight: g.matrix({ h: 9 }, 4) }),
    )
    expect(printPlan(g.build(), { tokens: 4, sequences: 2, samples: 2 }))
      .toBe(`octavo-plan 1 toy vocab=9
limits T=4 S=2 R=2 arena=256
cache 0 kv full bfloat16 layers=1 kvHeads=1 keyDim=2 valueDim=2
rope 0 dim=2 scale=1.5 invFreq=[1] base=10000 factor=4 original=2048
weight 0 matrix float32 [9,4] e
weight 1 matrix float32 [8,4] m.a.weight:4 m.b.weight:4
weight 2 vector float32 [8] m.a.bias:4 m.b.bias:4
weight 3 vector float32 [4] gain
weight 4 vector float32 [4] shift
weight 5 matrix float32 [9,4] h
%0 [T,4] @0 = embed() weight=0 scale=2 "embed"
%1 [T,8] @64 = linear(%0) weight=1 bias=2 "qkv"
%2 [T,4] @192 = ropeStoreKv(%1) rope=0 group=0 layer=0 heads=2 kvHeads=1 headDim=2 "rope"
%3 [T,4] @64 = pagedAttention(%2) group=0 layer=0 heads=2 kvHeads=1 headDim=2 scale=0.5 "attn"
%4 [T,4] @128 = norm(%3,%0) norm=layer eps=1e-7 weight=3 bias=4 "norm"
%5 [T,4] @0 = activation(%4) activation=geluTanh gated=0 "act"
%6 [R,4] @128 = gatherRows(%5) "gather"
%7 [R,9] @0 = linear(%6) weight=5 "head"
sample(%7) "draw"
`)
  })
})
