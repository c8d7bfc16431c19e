/**
 * What the ops of a plan work on: values, weights, cache groups and rotary embeddings.
 *
 * Every value is a matrix of float32 rows. The number of rows is symbolic: T token rows, S
 * sequences or R sampled rows of the step; the number of columns is fixed when the plan is built.
 */

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
 * In `levels4` a code chooses one of the matrix' 16 levels, and an element is `scale × level`. In
 * `int16` it is `scale × code`, a whole number from −16383 to 16383, with a scale for a row.
 */
export type QuantizedType =
  'int16' | 'int8' | 'int4' | `int8/${GroupSize}` | `int4/${GroupSize}` | `levels4/${GroupSize}`

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
