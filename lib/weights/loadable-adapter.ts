import type { NativeTensor } from '../native/addon-types.js'

/** An adapter (LoRA) that was read and fits the model: what native needs to load it, and what tells it apart. */
export interface LoadableAdapter {
  /** As requests name it. */
  readonly name: string
  /** Another text, where its contents may differ: blocks computed with it are shared under the same only. */
  readonly identity: string
  /** Its text form (docs/plan-format.md). */
  readonly text: string
  readonly tensors: readonly NativeTensor[]
}
