import type {
  ActivationKind,
  CacheType,
  NormKind,
  PagedAttentionOp,
  QkNorm,
  QueryGrowth,
  Rope,
  Value,
  Weight,
  WeightType,
} from './ops.js'
import type { Place, RankSums } from './rank-ops.js'
import type { ModulePart, Part } from './tensor-rows.js'

/**
 * What a matrix is for: multiplied only; a table of embeddings, by token or position, which a tied head
 * multiplies too; or one of the heads of latent attention, which may be taken by columns.
 */
export type MatrixUse = 'linear' | 'table' | 'head'

/** Chooses a matrix' type by the checkpoint tensors that it is made of. */
export type WeightTypeOf = (tensors: readonly string[], use: MatrixUse) => WeightType

/** Element types that a plan is recorded with. */
export interface PlanTypes {
  /** Type of the stored matrices: one for all, or chosen for each. */
  readonly weightType: WeightType | WeightTypeOf
  /** Type of the key/value cache. */
  readonly cacheType: CacheType
  /** Products with a matrix, keys or values in bfloat16 round their inputs to it. Default false. */
  readonly roundsInputs?: boolean
  /** False: gains that others store around zero are stored whole. Default true. */
  readonly addsOffsets?: boolean
  /** Whether hidden states can be pooled, for embeddings. Default false. */
  readonly pools?: boolean
  /** Whether adapters (LoRA) may change what matrices give. Default false. */
  readonly adapts?: boolean
}

export interface PlanBuilderOptions extends PlanTypes {
  /** The model family, as the first line of the text form shows it. */
  readonly name: string
  readonly vocabSize: number
  /** Which of several ranks it is for. Default: the plan is of the whole model. */
  readonly place?: Place
}

/** Checkpoint names and the rows that each gives; several are fused in this order. */
export type Parts = Readonly<Record<string, Part>>

/** The same of the modules that `modules` declares. */
export type ModuleParts = Readonly<Record<string, ModulePart>>

/** How linear modules are stored. */
export interface ModuleOptions {
  /** Columns of the matrix. */
  readonly columns: number
  readonly bias: boolean
  /** The matrices are stored by columns. */
  readonly transposed?: boolean
}

/** The parameters of a linear op. */
export interface LinearWeights {
  readonly weight: Weight
  readonly bias?: Weight
}

export interface NormOptions {
  readonly norm: NormKind
  readonly eps: number
  /** Added to in place before it is normalised. */
  readonly residual?: Value
  readonly weight?: Weight
  readonly bias?: Weight
}

/** Where the heads of one layer lie: their number, and their layer of a cache group. */
export interface HeadOptions {
  /** As `cache` returned it. */
  readonly group: number
  readonly layer: number
  /** Query heads; the group says the key/value heads and their size. */
  readonly heads: number
}

export interface StoreOptions {
  readonly rope?: Rope
  readonly qkNorm?: QkNorm
  readonly rankSums?: RankSums
  /** q, k and v are limited to ± this. */
  readonly clip?: number
  readonly growth?: QueryGrowth
}

export type AttentionOptions = Pick<
  PagedAttentionOp,
  'scale' | 'window' | 'softcap' | 'slopes' | 'sinks'
>

export interface ActivationOptions {
  readonly activation: ActivationKind
  /** The input is `[gate | up]`. */
  readonly gated: boolean
  /** Rows that stand side by side in one, as `expertLinear` leaves them. Default 1. */
  readonly parts?: number
  /** Of xielu. */
  readonly parameters?: Weight
}

export interface RouteOptions {
  readonly topK: number
  readonly bias?: Weight
}

export interface ExpertLinearOptions {
  readonly weights: readonly Weight[]
  readonly biases?: readonly Weight[]
  readonly split: boolean
}

export interface LatentOptions extends HeadOptions {
  /** What turns with the position is the end of its rows. */
  readonly positions: Value
  /** `[latent | what turns]`: a token's row of the cache before it is normalised and rotated. */
  readonly latent: Value
  readonly rope: Rope
  readonly weight: Weight
  readonly eps: number
}

export interface ShortConvOptions {
  /** One row of the kernel a column, the oldest token's factor first. */
  readonly weight: Weight
  readonly bias?: Weight
  /** Tokens of the kernel. */
  readonly width: number
  /** As `stateCache` returned it. */
  readonly group: number
  readonly layer: number
}
