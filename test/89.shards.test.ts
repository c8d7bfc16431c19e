import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { EngineError } from '../lib/errors.js'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { PlanBuilder, type WeightTypeOf } from '../lib/plan/builder.js'
import type { Plan, Weight } from '../lib/plan/ops.js'
import { shardPlan } from '../lib/plan/shard.js'
import { cacheBytesPerToken, weightBytes } from '../lib/plan/size.js'
import { rowSlice } from '../lib/plan/weight-slices.js'
import { matchCheckpoint, readCheckpoint } from '../lib/weights/checkpoint.js'
import { FIXTURES } from './support/models.js'
import { Reference, type TensorReader } from './support/reference.js'
import { ReferenceRanks } from './support/reference-ranks.js'
import { tensorReader } from './support/weights.js'

const NAMES = readdirSync(join(FIXTURES, 'models'))

async function load(name: string, weightType?: WeightTypeOf) {
  const folder = join(FIXTURES, 'models', name)
  const config = readModelConfig(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')))
  const plan = buildPlan(config, {
    weightType: weightType ?? config.storedType,
    cacheType: 'float32',
  })
  const read = tensorReader(matchCheckpoint(plan, await readCheckpoint(folder)))
  const tensors = new Map<string, Float32Array>()
  return {
    config,
    plan,
    tensors: (tensor: string) => {
      if (!tensors.has(tensor)) tensors.set(tensor, read(tensor))
      return tensors.get(tensor)!
    },
  }
}

const shardsOf = (plan: Plan, ranks: number) =>
  Array.from({ length: ranks }, (_, rank) => shardPlan(plan, { rank, ranks }))

const layersOf = (plan: Plan) => plan.caches.reduce((sum, { layers }) => sum + layers, 0)

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (x, c) => Math.abs(x - b[c]!)))
}

/** Two steps over the cache: a prompt, then more of it beside another one. */
const STEPS = [
  [{ id: 'a', start: 0, tokens: [5, 9, 63, 17, 3] }],
  [
    { id: 'b', start: 0, tokens: [11, 4] },
    { id: 'a', start: 5, tokens: [7, 60] },
  ],
]

// Both are computed in float64, where sums in another order differ by some 1e-16 of their terms. Float32
// has steps of 2e-6 at the largest logits; what is sliced wrongly is off by far more than this.
const REORDERED = 1e-9

/** Gives the whole plan and those of the ranks. */
async function expectSame(
  name: string,
  ranks: number,
  weightType?: WeightTypeOf,
): Promise<readonly Plan[]> {
  const { plan, tensors } = await load(name, weightType)
  return expectSameLogits(plan, tensors, ranks)
}

function expectSameLogits(plan: Plan, tensors: TensorReader, ranks: number): readonly Plan[] {
  const plans = shardsOf(plan, ranks)
  const whole = new Reference(plan, tensors)
  const together = new ReferenceRanks(plans, tensors)
  for (const step of STEPS) {
    const expected = whole.logits(step, { all: true })
    for (const found of together.logits(step)) {
      const differences = found.map((row, t) => largestDifference(row, expected[t]!))
      expect(Math.max(...differences)).toBeLessThan(REORDERED)
    }
  }
  return [plan, ...plans]
}

describe.each(NAMES)('two ranks of %s', (name) => {
  it('give the logits of the whole plan, with a part of its weights each', async () => {
    const [plan, ...ranks] = await expectSame(name, 2)
    const shares = ranks.map((rank) => weightBytes(rank) / weightBytes(plan!))
    expect(Math.max(...shares)).toBeLessThan(0.75)
  })
})

describe('more ranks', () => {
  // Four ranks share two key/value heads or one: each keeps one, with the query heads that read it.
  it.each([
    ['llama', 4],
    ['llama', 3],
    ['olmo2', 4],
    ['gemma', 3],
    ['bloom-5-heads', 4],
    ['gpt-oss', 4],
    ['deepseek-v3', 3],
    ['lfm2', 3],
  ])('give the logits of %s: %d', async (name, ranks) => {
    await expectSame(name, ranks)
  })

  it.each([2, 3, 4])('%d share out sizes that none divides', (ranks) => {
    const sizes = { hidden_size: 40, intermediate_size: 37, vocab_size: 67 }
    const heads = { num_attention_heads: 5, num_key_value_heads: 5, head_dim: 6 }
    const kind = { architectures: ['LlamaForCausalLM'], model_type: 'llama' }
    const rest = { num_hidden_layers: 2, max_position_embeddings: 64, rms_norm_eps: 1e-5 }
    const config = readModelConfig({ ...kind, ...sizes, ...heads, ...rest })
    const plan = buildPlan(config, { weightType: 'float32', cacheType: 'float32' })
    const shapes = new Map(
      plan.weights.flatMap(({ sources }) => sources.map(({ name, shape }) => [name, shape])),
    )
    const tensors = (name: string) => {
      const length = shapes.get(name)!.reduce((product, size) => product * size, 1)
      return Float32Array.from({ length }, (_, i) => Math.sin(i * i + name.length))
    }
    const plans = expectSameLogits(plan, tensors, ranks).slice(1)
    const rowsOf = (rank: Plan) => rank.weights[0]!.shape[0]!
    expect(new Set(plans.map(rowsOf)).size).toBe(2)
  })

  it('share the cache by key/value heads, and keep one each where these are too few', async () => {
    const { plan } = await load('llama')
    const share = (ranks: number) =>
      cacheBytesPerToken(shardsOf(plan, ranks)[0]!) / cacheBytesPerToken(plan)
    expect([share(2), share(4)]).toEqual([0.5, 0.5])
  })
})

describe('a rank', () => {
  it('has its own part: with one part twice the logits are others', async () => {
    const { plan, tensors } = await load('llama')
    const [first] = shardsOf(plan, 2)
    const [found] = new ReferenceRanks([first!, first!], tensors).logits(STEPS[0]!)
    const [expected] = new Reference(plan, tensors).logits(STEPS[0]!, { all: true })
    expect(largestDifference(found![0]!, expected!)).toBeGreaterThan(0.1)
  })

  it('cuts quantised matrices between groups of columns', async () => {
    for (const weightType of ['int4/16', 'int8/32', 'int4/32'] as const) {
      const chosen: WeightTypeOf = (_, use) => (use === 'linear' ? weightType : 'bfloat16')
      const [plan, ...ranks] = await expectSame('qwen3-moe', 2, chosen)
      expect(weightBytes(ranks[0]!) / weightBytes(plan!)).toBeLessThan(0.75)
    }
  })

  it('gathers what lies across a group of columns, and multiplies it whole', async () => {
    const [, rank] = await expectSame('cohere-qk-norm', 2, (_, use) =>
      use === 'linear' ? 'int4/128' : 'bfloat16',
    )
    const gathered = rank!.ops.filter((op) => op.kind === 'allGather').map(({ label }) => label)
    expect(gathered).toContain('model.layers.0.self_attn.attn.gather')
  })

  it('pools whole rows', async () => {
    const config = (await load('gptj')).config
    const plan = buildPlan(config, { weightType: 'float32', cacheType: 'float32', pools: true })
    for (const rank of shardsOf(plan, 2)) {
      const pool = rank.ops.find((op) => op.kind === 'pool')!
      expect(pool.input.cols).toBe(config.hiddenSize)
      const writer = rank.ops.find((op) => 'out' in op && op.out === pool.input)!
      expect(writer.kind).toBe('norm')
    }
  })

  it('adds biases once', async () => {
    const { plan } = await load('gpt2')
    const biased = shardsOf(plan, 2).map((rank) =>
      rank.ops.flatMap((op) => (op.kind === 'linear' && op.bias ? [op.label] : [])),
    )
    expect(biased[0]).toContain('transformer.h.0.attn.c_proj')
    expect(biased[1]).not.toContain('transformer.h.0.attn.c_proj')
    expect(biased[1]).toContain('transformer.h.0.attn.qkv_proj')
  })

  it('adds what stands side by side before the ranks do', async () => {
    const { plan } = await load('gptj')
    const [rank] = shardsOf(plan, 2)
    const sums = rank!.ops.filter((op) => op.kind === 'allReduce')
    expect(sums).toHaveLength(1 + layersOf(plan))
  })
})

describe('a plan that ranks cannot share', () => {
  const refusal = (message: string) =>
    expect.objectContaining({ code: 'unsupported_model', message }) as EngineError

  it('has fewer heads than there are ranks', async () => {
    const { plan } = await load('llama')
    expect(() => shardPlan(plan, { rank: 0, ranks: 5 })).toThrow(
      refusal('pagedAttention model.layers.1.self_attn.attn: 5 ranks cannot share 4 heads'),
    )
  })

  it('has a norm over heads of which some would count twice', async () => {
    const { plan } = await load('olmo2')
    expect(() => shardPlan(plan, { rank: 0, ranks: 3 })).toThrow(
      refusal(
        'ropeStoreKv model.layers.0.self_attn.rope: 3 ranks cannot share it, since they would not keep all heads equally often, which its norm is over',
      ),
    )
  })

  it('is shared already, or by a rank that there is not', async () => {
    const { plan } = await load('llama')
    const [rank] = shardsOf(plan, 2)
    expect(() => shardPlan(rank!, { rank: 0, ranks: 2 })).toThrow('already that of a rank')
    expect(() => shardPlan(plan, { rank: 2, ranks: 2 })).toThrow(RangeError)
    expect(shardPlan(plan, { rank: 0, ranks: 1 })).toBe(plan)
  })
})

describe('rows of a weight', () => {
  const rows = {
    rows: 24,
    shape: [2, 24, 5],
    matrix: 1,
    order: [
      [2, 12],
      [3, 1],
      [4, 3],
    ],
  } as const
  const g = new PlanBuilder({
    name: 'x',
    vocabSize: 4,
    weightType: 'float32',
    cacheType: 'float32',
  })
  const weight = g.matrix({ plain: 7, turned: rows, last: 2 }, 5)

  /** The elements that each row begins at, and the tensor. */
  const startsOf = ({ sources }: Pick<Weight, 'sources'>) =>
    sources.flatMap(({ name, rows, view }) => {
      const { first, loops } = view ?? { first: 0, loops: [{ count: rows, step: 5 }] }
      let starts = [first]
      for (const { count, step } of loops)
        starts = starts.flatMap((at) => Array.from({ length: count }, (_, i) => at + i * step))
      expect(starts).toHaveLength(rows)
      return starts.map((start) => `${name} ${start}`)
    })

  it('are the same whatever range is taken, across tensors and loops', () => {
    const all = startsOf(weight)
    expect(new Set(all).size).toBe(33)
    for (let from = 0; from < 33; from++)
      for (let to = from + 1; to <= 33; to++) {
        const slice = rowSlice(weight, [{ from, to }])
        expect(slice.shape).toEqual([to - from, 5])
        expect(startsOf(slice)).toEqual(all.slice(from, to))
      }
  })
})
