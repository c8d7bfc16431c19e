import type { ModuleParts, Parts } from '../plan/builder.js'
import type { ActivationKind, QkNorm, QueryGrowth, Rope, Value, Weight } from '../plan/ops.js'
import type { Decoder, Layer } from './decoder.js'

export interface Attention {
  /** The module in the layer. Default self_attn. */
  readonly name?: string
  /** Modules of q, k and v in it. Default q_proj, k_proj and v_proj. */
  readonly qkv?: ModuleParts
  /** The module of the output. Default o_proj. */
  readonly out?: string
  /** Of q, k and v. Default: as the config says. */
  readonly bias?: boolean
  /** Of the output. Default: as that of q, k and v. */
  readonly outBias?: boolean
  /** All matrices are stored by columns. */
  readonly transposed?: boolean
  /** Null: positions are not turned. Default: the model's. */
  readonly rope?: Rope | null
  readonly qkNorm?: QkNorm
  readonly clip?: number
  /** How q grows with its position. */
  readonly growth?: QueryGrowth
  /** Default: one over the root of the head's columns. */
  readonly scale?: number
  readonly softcap?: number
  readonly slopes?: readonly number[]
  readonly sinks?: Weight
}

/** Attention of x as the module of a layer does it. */
export function attention(d: Decoder, layer: Layer, x: Value, options: Attention = {}): Value {
  const { g, c } = d
  const { name = 'self_attn', out = 'o_proj', bias = c.attentionBias, outBias = bias } = options
  const { qkv = separateQkv(d), rope = d.rope(), qkNorm, clip, growth, transposed } = options
  const { scale = c.headDim ** -0.5, softcap, slopes, sinks } = options
  const path = `${layer.path}.${name}`
  const heads = d.heads(layer)
  const modules = c.options.flag('fused_qkv', false) ? fusedQkv(d) : qkv
  const projected = d.linear(`${path}.qkv_proj`, x, path, modules, { bias, transposed })
  const stored = { ...heads, rope: rope ?? undefined, qkNorm, clip, growth }
  const q = g.ropeStoreKv(`${path}.rope`, projected, stored)
  const seen = { ...heads, scale, window: layer.window, softcap, slopes, sinks }
  const attended = g.pagedAttention(`${path}.attn`, q, seen)
  const parts = { [out]: c.hiddenSize }
  return d.linear(`${path}.${out}`, attended, path, parts, { bias: outBias, transposed })
}

/** Rows of q, then of k, then of v in one module, as GGUF files have them of any family. */
function fusedQkv({ c }: Decoder): ModuleParts {
  return { qkv_proj: (c.heads + 2 * c.kvHeads) * c.headDim }
}

/** Rows of q, k and v in modules of their own. */
export function separateQkv({ c }: Decoder, names = ['q_proj', 'k_proj', 'v_proj']): ModuleParts {
  const [q = '', k = '', v = ''] = names
  const kv = c.kvHeads * c.headDim
  return { [q]: c.heads * c.headDim, [k]: kv, [v]: kv }
}

/**
 * Rows of q, k and v in one module that has them in turn: for each key/value head its query heads,
 * then its key, then its value.
 */
export function groupedQkv({ c }: Decoder, name: string): ModuleParts {
  const { heads, kvHeads, headDim } = c
  const queries = (heads / kvHeads) * headDim
  const group = queries + 2 * headDim
  const rows = (first: number, length: number) => ({
    rows: kvHeads * length,
    first,
    order: [
      [kvHeads, group],
      [length, 1],
    ] as const,
  })
  return { [name]: [rows(0, queries), rows(queries, headDim), rows(queries + headDim, headDim)] }
}

export interface HeadNorms {
  /** The module in the layer. Default self_attn. */
  readonly module?: string
  readonly q?: string
  readonly k?: string
  readonly norm?: QkNorm['norm']
  readonly over?: QkNorm['over']
  /** Each head has gains of its own, a row of one matrix or in the module `norms.N`. */
  readonly each?: 'row' | 'module'
  readonly bias?: boolean
  readonly offset?: number
  readonly afterRope?: boolean
}

/** The norms of q and k that lie in a layer's attention module. */
export function headNorms(
  { g, c }: Decoder,
  layer: Layer,
  { q = 'q_norm', k = 'k_norm', norm = 'rms', over = 'head', ...options }: HeadNorms = {},
): QkNorm {
  const { module = 'self_attn', each, bias = false, offset, afterRope } = options
  const vector = (norms: string, tensor: string, heads: number) => {
    const path = `${layer.path}.${module}.${norms}`
    const parts = headParts(path, tensor, heads, c.headDim, over === 'all' ? 'all' : each)
    return g.vector(parts, tensor === 'weight' ? { offset } : {})
  }
  return {
    ...{ norm, eps: c.normEps, over },
    ...(afterRope ? { afterRope } : {}),
    qWeight: vector(q, 'weight', c.heads),
    kWeight: vector(k, 'weight', c.kvHeads),
    ...(bias ? { qBias: vector(q, 'bias', c.heads), kBias: vector(k, 'bias', c.kvHeads) } : {}),
  }
}

function headParts(
  path: string,
  tensor: string,
  heads: number,
  headDim: number,
  each?: 'row' | 'module' | 'all',
): Parts {
  const name = `${path}.${tensor}`
  const all = heads * headDim
  if (each === 'all') return { [name]: all }
  if (each === 'row') return { [name]: { rows: all, shape: [heads, headDim] } }
  if (each === undefined) return { [name]: headDim }
  const names = Array.from({ length: heads }, (_, head) => `${path}.norms.${head}.${tensor}`)
  return Object.fromEntries(names.map((one) => [one, headDim]))
}

export interface FeedForward {
  /** The module in the layer; '' is the layer itself. Default mlp. */
  readonly name?: string
  /** Modules of the gate and the up projection, or of the up projection alone. */
  readonly up?: ModuleParts
  readonly down?: string
  readonly bias?: boolean
  readonly transposed?: boolean
  /** Default: the config's. */
  readonly activation?: ActivationKind
  /** Parameters of the activation. */
  readonly parameters?: Weight
}

/** act(gate x) × up x, then down. */
export function gatedMlp(d: Decoder, layer: Layer, x: Value, options: FeedForward = {}): Value {
  const inner = d.c.intermediateSize
  return feedForward(d, layer, x, true, { up: { gate_proj: inner, up_proj: inner }, ...options })
}

/** act(up x), then down. */
export function plainMlp(d: Decoder, layer: Layer, x: Value, options: FeedForward = {}): Value {
  return feedForward(d, layer, x, false, { up: { up_proj: d.c.intermediateSize }, ...options })
}

function feedForward(
  d: Decoder,
  layer: Layer,
  x: Value,
  gated: boolean,
  options: FeedForward,
): Value {
  const { name = 'mlp', up = {}, down = 'down_proj', bias = d.c.mlpBias } = options
  const { transposed, activation = d.c.activation, parameters } = options
  const path = name === '' ? layer.path : `${layer.path}.${name}`
  const inner = d.linear(`${path}.${gated ? 'gate_up_proj' : 'up_proj'}`, x, path, up, {
    bias,
    transposed,
  })
  const active = d.g.activation(`${path}.act`, inner, { activation, gated, parameters })
  return d.linear(`${path}.${down}`, active, path, { [down]: d.c.hiddenSize }, { bias, transposed })
}
