/** The ops of mixtures of experts. */
import type { Value, Weight } from './operands.js'

/** How experts' scores become the few experts of a token and their weights. */
export interface Routing {
  /** Experts of a token. */
  readonly topK: number
  /** From logits to scores: over all experts together, or each alone. */
  readonly score: 'softmax' | 'sigmoid'
  /** Weights are divided by their sum. */
  readonly renormalise: boolean
  /** Multiplies the weights at last. */
  readonly scale: number
  /** Experts stand in so many groups of equal size; only the `topGroups` best of them are chosen from. */
  readonly groups: number
  readonly topGroups: number
  /** A group is as good as its best expert, or as the sum of its two best. */
  readonly groupScore: 'best' | 'bestTwo'
}

/**
 * `out = [ids | weights]` of each token's `topK` experts by their logits, the best first; of equal
 * ones the first. `bias` is added to the scores to choose by, not to the weights.
 */
export interface RouteOp extends Routing {
  readonly kind: 'route'
  readonly label: string
  readonly experts: number
  readonly input: Value
  readonly bias?: Weight
  readonly out: Value
}

/**
 * `out[j] = x × weights[id of j]ᵀ + biases[id of j]` for each of a token's experts j, side by side;
 * `x` is the whole input row, the same for all, or its part j.
 */
export interface ExpertLinearOp {
  readonly kind: 'expertLinear'
  readonly label: string
  readonly topK: number
  /** The input has a part for each of the token's experts. */
  readonly split: boolean
  readonly input: Value
  readonly routes: Value
  /** One an expert, all of one shape. */
  readonly weights: readonly Weight[]
  /** None, or one an expert. */
  readonly biases: readonly Weight[]
  readonly out: Value
}

/** `out = Σ weight of j × part j of input + σ(gate) × shared`, in the order of the routes. */
export interface CombineExpertsOp {
  readonly kind: 'combineExperts'
  readonly label: string
  readonly topK: number
  readonly input: Value
  readonly routes: Value
  /** What experts that every token passes gave. */
  readonly shared?: Value
  /** One column of logits; absent: the shared part counts fully. */
  readonly gate?: Value
  readonly out: Value
}
