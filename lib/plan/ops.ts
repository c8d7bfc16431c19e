/**
 * The vocabulary of a plan: one op is one kernel launch. A model family is recorded with it
 * (builder.ts), printed in it (text.ts), interpreted by the reference in test/ and run natively.
 *
 * Every value is a matrix of float32 rows. The number of rows is symbolic: T token rows, S
 * sequences or R sampled rows of the step; the number of columns is fixed when the plan is built.
 */
import type { CombineExpertsOp, ExpertLinearOp, RouteOp } from './expert-ops.js'
import type { Place, RankOp, RankSums } from './rank-ops.js'

export type * from './expert-ops.js'

/** How many rows a value has in one step. */
export type Rows = 'T' | 'S' | 'R'

/** Element type of a stored matrix, or of the key/value cache. */
export type StoredType = 'float32' | 'bfloat16' | 'float16'

/**
 * How keys and values are kept. `int8`: codes from −127 to 127, and a float32 scale for the keys and
 * one for the values of each token and kv head, 1/127 of their largest magnitude (one for both where
 * the rows are latent). `fp8`: e4m3 numbers; what is beyond ±448 becomes ±448.
 */
export type CacheType = StoredType | 'int8' | 'fp8'

/** Columns of a row that share a scale and a minimum. */
export type GroupSize = 16 | 32 | 64 | 128

/**
 * A matrix of unsigned codes of 8 or 4 bits. An element is `scale × code + minimum`, with a float32
 * scale and minimum for every group of a row's columns; without a size the group is the whole row.
 * In `levels4` a code chooses one of the matrix' 16 levels, and an element is `scale × level`.
 */
export type QuantizedType =
  'int8' | 'int4' | `int8/${GroupSize}` | `int4/${GroupSize}` | `levels4/${GroupSize}`

/** How a matrix is kept and multiplied. */
export type WeightType = StoredType | QuantizedType

/** A matrix of activations that one op writes and later ops read; it lives in the arena. */
export interface Value {
  readonly id: number
  readonly rows: Rows
  readonly cols: number
}

/**
 * Which elements of a tensor a source takes: row r begins `first + Σ step × counter` elements into
 * it, counters as of nested loops whose last one runs fastest; its columns follow `columnStep` apart.
 */
export interface TensorView {
  readonly first: number
  readonly columnStep: number
  readonly loops: readonly { readonly count: number; readonly step: number }[]
}

/** One checkpoint tensor that a weight is made of. Its rows follow those of the source before it. */
export interface WeightSource {
  readonly name: string
  /** Rows of the weight that it gives. */
  readonly rows: number
  /** Shape of the tensor. */
  readonly shape: readonly number[]
  /** Absent: the rows of the tensor as they are. */
  readonly view?: TensorView
}

/**
 * A parameter of the model. A matrix `[rows, cols]` keeps its stored type and is packed for the
 * matrix kernels; a vector `[n]` is always float32. Several sources are fused by rows.
 */
export interface Weight {
  readonly id: number
  readonly role: 'matrix' | 'vector'
  readonly type: WeightType
  readonly shape: readonly number[]
  readonly sources: readonly WeightSource[]
  /** Added to each element of a vector when it is loaded, as to gains that are stored around zero. */
  readonly offset?: number
}

/**
 * A group of cache layers whose blocks are allocated together. All groups draw from one pool, whose
 * blocks are as large as the largest group's.
 */
export type CacheGroup = TokenGroup | StateGroup

/** Keeps keys and values of tokens; a block holds `blockSize` tokens of every layer of the group. */
export type TokenGroup = FullGroup | WindowGroup

/** Keeps every token. */
export interface FullGroup extends TokenRow {
  readonly kind: 'full'
}

/** Keeps the tokens that the next one attends to: the last `window`, itself included. */
export interface WindowGroup extends TokenRow {
  readonly kind: 'window'
  readonly window: number
}

/** What a layer stores of a token: keys and values of each kv head. */
export interface TokenRow {
  readonly name: string
  readonly type: CacheType
  readonly layers: number
  readonly kvHeads: number
  readonly keyDim: number
  readonly valueDim: number
  /** Values are the first `valueDim` columns of the keys, which are stored once. */
  readonly latent?: boolean
}

/** Keeps one row of float32 numbers a sequence and layer, which each step overwrites: one block a sequence. */
export interface StateGroup {
  readonly name: string
  readonly kind: 'state'
  readonly layers: number
  readonly elements: number
}

/**
 * A rotary embedding: the angle of pair i at position p is `p × invFreq[i]` in float32; cosine and
 * sine are multiplied by `scale` (yarn's attention factor). The pairs are (i, i + dim/2) of a head
 * or, interleaved, (2i, 2i + 1).
 * With `dynamic`, positions from `original` on use the base grown as Hugging Face's dynamic NTK does
 * for a sequence of length p + 1: `base × (factor × (p+1) / original − (factor − 1))^(dim / (dim − 2))`.
 * With `long`, all positions of a sequence that is longer than `from` tokens turn by other frequencies.
 */
export interface Rope {
  readonly id: number
  readonly dim: number
  readonly scale: number
  readonly invFreq: readonly number[]
  readonly interleaved?: boolean
  readonly dynamic?: { readonly base: number; readonly factor: number; readonly original: number }
  readonly long?: { readonly from: number; readonly invFreq: readonly number[] }
}

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
