/**
 * The vocabulary of a plan: one op is one kernel launch. A model family is recorded with it
 * (builder.ts), printed in it (text.ts), interpreted by the reference in test/ and run natively.
 */
import type { CombineExpertsOp, ExpertLinearOp, RouteOp } from './expert-ops.js'
import type { CacheGroup, Rope, Value, Weight } from './operands.js'
import type { Place, RankOp, RankSums } from './rank-ops.js'

export type * from './expert-ops.js'
export type * from './operands.js'

export type NormKind = 'rms' | 'layer'

/**
 * `geluQuick` is `x × σ(1.702 x)`, `reluSquared` is `max(x, 0)²`; `clampedSwiglu` is gated only:
 * `min(gate, 7) × σ(1.702 × min(gate, 7)) × (clamp(up, −7, 7) + 1)`; `xielu` is under ActivationOp.
 */
export type ActivationKind =
  'silu' | 'gelu' | 'geluTanh' | 'geluQuick' | 'relu' | 'reluSquared' | 'xielu' | 'clampedSwiglu'

/**
 * `out[t] = weight[id[t]] × scale`; rows of the table are looked up by token id or, with
 * `positionOffset`, by position plus that. With `firstRow` the table is a rank's, has the ids from
 * that one on, and gives zeros for all others; a vector in a token's place counts where it is 0.
 */
export interface EmbedOp {
  readonly kind: 'embed'
  readonly label: string
  readonly weight: Weight
  readonly scale: number
  readonly positionOffset?: number
  readonly firstRow?: number
  readonly out: Value
}

/** `out = norm(input) × weight + bias`. With `residual`: first `residual += input` in place, then `out = norm(residual)`. */
export interface NormOp {
  readonly kind: 'norm'
  readonly label: string
  readonly norm: NormKind
  readonly eps: number
  readonly input: Value
  readonly residual?: Value
  readonly weight?: Weight
  readonly bias?: Weight
  readonly out: Value
}

/** `out = input × weightᵀ + bias`, weight `[out columns, in columns]`. */
export interface LinearOp {
  readonly kind: 'linear'
  readonly label: string
  readonly input: Value
  readonly weight: Weight
  readonly bias?: Weight
  /** Each number of the input is rounded to bfloat16 first; the matrix is in bfloat16 too. */
  readonly inputs?: 'bfloat16'
  readonly out: Value
}

/**
 * `target += scale × (input × aᵀ) × bᵀ` in place, for the columns of each part that the adapter (LoRA) of a row's
 * sequence has of the weight (adapter.ts); rows without an adapter stay. Behind the linear op of the same weight.
 */
export interface AdaptOp {
  readonly kind: 'adapt'
  readonly label: string
  readonly input: Value
  readonly target: Value
  readonly weight: Weight
}

/** How q and k of a token are normalised on their way to the cache. */
export interface QkNorm {
  readonly norm: NormKind
  readonly eps: number
  /** Each head on its own, or all columns of q together, and all of k. */
  readonly over: 'head' | 'all'
  /** After the rotation instead of before it. */
  readonly afterRope?: boolean
  /** Gains of one head that all share, or of all columns. */
  readonly qWeight?: Weight
  readonly kWeight?: Weight
  readonly qBias?: Weight
  readonly kBias?: Weight
}

/** q of position p grows by `1 + beta × ln(1 + ⌊p / span⌋)`, past the length that a model was trained at first. */
export interface QueryGrowth {
  readonly beta: number
  /** Tokens. */
  readonly span: number
}

/**
 * Rows of `input` are `[heads × headDim | kvHeads × headDim (k) | kvHeads × headDim (v)]`. Normalises
 * q and k, limits all to [−clip, clip], rotates q and k, writes k and v of each token to its slot of
 * the cache, and gives q `[T, heads × headDim]`, grown if it grows.
 */
export interface RopeStoreKvOp {
  readonly kind: 'ropeStoreKv'
  readonly label: string
  readonly input: Value
  readonly rope?: Rope
  readonly qkNorm?: QkNorm
  readonly rankSums?: RankSums
  readonly clip?: number
  readonly growth?: QueryGrowth
  readonly group: number
  readonly layer: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly out: Value
}

/**
 * Causal softmax(q·kᵀ × scale)·v over each sequence's block table; query head h reads kv head
 * `h / (heads/kvHeads)`. A score s becomes `softcap × tanh(s / softcap)`, then `s + slope × (position
 * of k − position of q)` with the head's slope. With a window, a token sees the last `window` ones,
 * itself included. A sink is a further score of its head that weighs nothing but the others down.
 */
export interface PagedAttentionOp {
  readonly kind: 'pagedAttention'
  readonly label: string
  readonly input: Value
  readonly group: number
  readonly layer: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly scale: number
  readonly window?: number
  readonly softcap?: number
  /** ALiBi's, one a query head. */
  readonly slopes?: readonly number[]
  /** A vector, one a query head. */
  readonly sinks?: Weight
  /** Queries and softmax weights are rounded to bfloat16 first; keys and values are in bfloat16 too. */
  readonly inputs?: 'bfloat16'
  readonly out: Value
}

/**
 * `out = act(input)`; gated: input `[gate | up]` of twice the columns, `out = act(gate) × up`. A row
 * of several parts is so many such rows side by side. xielu has the parameters [p, n, β, ε]:
 * `softplus(p) x² + β x` above 0, else `(β + softplus(n)) (e^min(x, ε) − 1 − x) + β x`.
 */
export interface ActivationOp {
  readonly kind: 'activation'
  readonly label: string
  readonly activation: ActivationKind
  readonly gated: boolean
  readonly parts: number
  readonly parameters?: Weight
  readonly input: Value
  readonly out: Value
}

/** `out = input × factor`, and with a cap: `cap × tanh(input × factor / cap)`. */
export interface ScaleOp {
  readonly kind: 'scale'
  readonly label: string
  readonly factor: number
  readonly cap?: number
  readonly input: Value
  readonly out: Value
}

/** `out = input + other`. */
export interface AddOp {
  readonly kind: 'add'
  readonly label: string
  readonly input: Value
  readonly other: Value
  readonly out: Value
}

/**
 * A matrix for each part of a row: `out[h] = input[h] × weights[h]ᵀ`, side by side. Columns of the
 * input behind those parts are not read.
 */
export interface HeadLinearOp {
  readonly kind: 'headLinear'
  readonly label: string
  readonly input: Value
  readonly weights: readonly Weight[]
  readonly out: Value
}

/**
 * Writes one row a token to a latent cache: the first columns of `latent` normalised (rms) with
 * `weight`, the rest rotated. Gives the queries of attention over it: for each head its columns of
 * `input`, then its columns of the end of `positions`, rotated.
 */
export interface StoreLatentOp {
  readonly kind: 'storeLatent'
  readonly label: string
  readonly input: Value
  readonly positions: Value
  readonly latent: Value
  readonly rope: Rope
  readonly weight: Weight
  readonly eps: number
  readonly group: number
  readonly layer: number
  readonly heads: number
  readonly out: Value
}

/**
 * A gated causal convolution over the tokens of a sequence, each column alone. Of input `[b | c | x]`
 * and `u = b × x`: `out[t] = c × (Σ weight[column, k] × u[t − width + 1 + k] + bias)`. The sequence's
 * state is its last `width − 1` rows of u, zeros before its first token.
 */
export interface ShortConvOp {
  readonly kind: 'shortConv'
  readonly label: string
  readonly input: Value
  readonly weight: Weight
  readonly bias?: Weight
  readonly width: number
  readonly group: number
  readonly layer: number
  readonly out: Value
}

/** `out[r] = input[token row of sample row r]`. */
export interface GatherRowsOp {
  readonly kind: 'gatherRows'
  readonly label: string
  readonly input: Value
  readonly out: Value
}

/** Adds up rows of `input` as the step's pool rows say; the sums are part of the step's result. */
export interface PoolOp {
  readonly kind: 'pool'
  readonly label: string
  readonly input: Value
}

/** Draws a token from each row of logits as the step's sample rows say. The end of a generating plan. */
export interface SampleOp {
  readonly kind: 'sample'
  readonly label: string
  readonly input: Value
}

export type Op =
  | EmbedOp
  | NormOp
  | LinearOp
  | AdaptOp
  | RopeStoreKvOp
  | PagedAttentionOp
  | ActivationOp
  | RouteOp
  | ExpertLinearOp
  | CombineExpertsOp
  | HeadLinearOp
  | StoreLatentOp
  | ShortConvOp
  | ScaleOp
  | AddOp
  | GatherRowsOp
  | PoolOp
  | SampleOp
  | RankOp

/** The largest step that a plan's arena must hold: token rows, sequences, sampled rows. */
export interface PlanLimits {
  readonly tokens: number
  readonly sequences: number
  readonly samples: number
}

/** A recorded model: what to compute each step, over which weights and cache. */
export interface Plan {
  readonly name: string
  readonly vocabSize: number
  /** Absent: the whole model. Else what one of several ranks computes of it (shard.ts). */
  readonly place?: Place
  readonly caches: readonly CacheGroup[]
  readonly ropes: readonly Rope[]
  readonly weights: readonly Weight[]
  readonly values: readonly Value[]
  readonly ops: readonly Op[]
}
