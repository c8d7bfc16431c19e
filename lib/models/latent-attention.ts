import type { TokenLayer } from '../plan/layer-groups.js'
import type { Value, Weight } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import type { Decoder, Layer } from './decoder.js'

/** The columns of latent attention: of q's way down (null: none), of the latent row, and of a head. */
export interface LatentShape {
  readonly queryRank: number | null
  readonly rank: number
  /** Columns of a head's q and k that do not turn with the position, and that do. */
  readonly still: number
  readonly turned: number
  readonly valueDim: number
  readonly scale: number
  readonly cache: TokenLayer
}

/** Whether a model's cache holds latent rows. */
export function cachesLatents({ options }: ModelConfig): boolean {
  return options.has('kv_lora_rank')
}

/** Reads the shape from config.json. */
export function latentShape({ options, rope }: ModelConfig): LatentShape {
  const size = (name: string) => options.integer(name, { min: 1 })
  const rank = size('kv_lora_rank')
  const still = size('qk_nope_head_dim')
  const turned = size('qk_rope_head_dim')
  const stretch = rope.kind === 'yarn' ? (rope.scoreFactor ?? 1) : 1
  return {
    queryRank: options.has('q_lora_rank') ? size('q_lora_rank') : null,
    ...{ rank, still, turned },
    valueDim: size('v_head_dim'),
    scale: (still + turned) ** -0.5 * stretch,
    cache: { kvHeads: 1, keyDim: rank + turned, valueDim: rank, latent: true },
  }
}

/**
 * Attention over one latent row a token, which all heads share. The matrices that would unfold it to
 * keys and values of each head are applied to the queries and to the result instead.
 */
export function latentAttention(d: Decoder, layer: Layer, x: Value, shape: LatentShape): Value {
  const { g, c } = d
  const { rank, turned, valueDim, scale } = shape
  const path = `${layer.path}.self_attn`
  const { group, layer: slot } = layer
  const bias = c.attentionBias
  const queries = projectQueries(d, path, x, shape)
  const compressed = { kv_a_proj_with_mqa: rank + turned }
  const latent = d.linear(`${path}.kv_a_proj`, x, path, compressed, { bias })
  const unfold = unfoldingOf(d, path, shape)
  const absorbed = g.headLinear(`${path}.absorb`, queries, unfold.keys)
  const q = g.storeLatent(`${path}.store`, absorbed, {
    ...{ positions: queries, latent, group, layer: slot, heads: c.heads },
    rope: d.rope({ interleaved: c.options.flag('rope_interleave', true) }),
    weight: g.vector({ [`${path}.kv_a_layernorm.weight`]: rank }),
    eps: LATENT_EPS,
  })
  const heads = { group, layer: slot, heads: c.heads }
  const attended = g.pagedAttention(`${path}.attn`, q, { ...heads, scale })
  const values = g.headLinear(`${path}.unfold`, attended, unfold.values)
  const columns = c.heads * valueDim
  const out = g.modules(path, { o_proj: c.hiddenSize }, { columns, bias })
  return g.linear(`${path}.o_proj`, values, out)
}

/** The norms of the two ways down do not follow the config. */
const LATENT_EPS = 1e-6

/** q of all heads: first what does not turn of each, then what does. */
function projectQueries(d: Decoder, path: string, x: Value, shape: LatentShape): Value {
  const { g, c } = d
  const { queryRank, still, turned } = shape
  const head = still + turned
  const rows = (first: number, length: number) => ({
    rows: c.heads * length,
    first,
    order: [
      [c.heads, head],
      [length, 1],
    ] as const,
  })
  const parts = [rows(0, still), rows(still, turned)]
  if (queryRank === null) return d.linear(`${path}.q_proj`, x, path, { q_proj: parts })
  const bias = c.attentionBias
  const down = d.linear(`${path}.q_a_proj`, x, path, { q_a_proj: queryRank }, { bias })
  const weight = g.vector({ [`${path}.q_a_layernorm.weight`]: queryRank })
  const normed = g.norm(`${path}.q_a_layernorm`, down, { norm: 'rms', eps: LATENT_EPS, weight })
  return d.linear(`${path}.q_b_proj`, normed, path, { q_b_proj: parts })
}

/** Of each head, the matrix from the still part of q to the latent row, and from that to values. */
function unfoldingOf(d: Decoder, path: string, latent: LatentShape) {
  const { g, c } = d
  const { rank, still, valueDim } = latent
  if (c.options.flag('split_kv_b', false)) return splitUnfolding(d, path, latent)
  const name = `${path}.kv_b_proj.weight`
  const head = still + valueDim
  const shape = [c.heads * head, rank]
  const ofHeads = (make: (row: number) => Weight) =>
    Array.from({ length: c.heads }, (_, h) => make(h * head))
  return {
    keys: ofHeads((firstColumn) =>
      g.matrix({ [name]: { rows: rank, shape, transposed: true, firstColumn } }, still, 'head'),
    ),
    values: ofHeads((row) =>
      g.matrix({ [name]: { rows: valueDim, shape, first: row + still } }, rank, 'head'),
    ),
  }
}

/** The same where they are two stacks, as GGUF files have them. */
function splitUnfolding({ g, c }: Decoder, path: string, { rank, still, valueDim }: LatentShape) {
  const ofHeads = (name: string, rows: number, columns: number) =>
    Array.from({ length: c.heads }, (_, matrix) => {
      const part = { rows, matrix, shape: [c.heads, rows, columns] }
      return g.matrix({ [`${path}.${name}.weight`]: part }, columns, 'head')
    })
  return {
    keys: ofHeads('k_b_proj', rank, still),
    values: ofHeads('v_b_proj', valueDim, rank),
  }
}
