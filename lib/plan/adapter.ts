import type { Weight } from './ops.js'
import { attributes, weightLine } from './text.js'

/** Version of the text form, the second word of its first line. */
const ADAPTER_FORMAT_VERSION = 1

/** Columns of a linear op's output, from `first` on one for each row of b, that an adapter changes. */
export interface AdapterPart {
  /** Of the model's plan. */
  readonly weight: Weight
  readonly first: number
  readonly scale: number
  /** [rank, in], of the adapter's own weights. */
  readonly a: Weight
  /** [out, rank] */
  readonly b: Weight
}

/** What an adapter (LoRA) changes of a model: each part adds `scale × (input × aᵀ) × bᵀ` to a linear op's output. */
export interface AdapterPlan {
  readonly weights: readonly Weight[]
  readonly parts: readonly AdapterPart[]
}

/** The text form of an adapter, as docs/plan-format.md describes it: what crosses to native. */
export function printAdapter({ weights, parts }: AdapterPlan): string {
  const lines = [
    `octavo-adapter ${ADAPTER_FORMAT_VERSION}`,
    ...weights.map(weightLine),
    ...parts.map(({ weight, first, scale, a, b }) => {
      return `part${attributes({ weight, first, scale, a, b })}`
    }),
  ]
  return lines.join('\n') + '\n'
}
