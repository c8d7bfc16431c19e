import type { AdapterLoad, BlockCopy, ScheduledStep } from '../scheduling/scheduled-step.js'
import type { NativeEngine } from './addon-types.js'
import type { Executor, StepResult } from './executor.js'
import { RESULT_INTS, ResultHeader } from './step.js'
import { StepPacker, type PackerOptions } from './step-packer.js'

/** Hands packed steps to the addon's engine thread and gives back what it computed. */
export class NativeExecutor implements Executor {
  onResult: (result: StepResult) => void = () => undefined
  onAdapterFailed: Executor['onAdapterFailed'] = () => undefined
  onDead: (error: Error) => void = () => undefined

  readonly #native: NativeEngine
  readonly #packer: StepPacker

  /** `connect` makes the native engine with the two callbacks that it is to call. */
  constructor(connect: (callbacks: NativeCallbacks) => NativeEngine, packing: PackerOptions) {
    this.#packer = new StepPacker(packing)
    this.#native = connect({
      onResult: (ints, floats) => {
        this.onResult(readResult(ints, floats))
      },
      onDead: (message) => {
        this.onDead(new Error(message))
      },
    })
  }

  submit(step: ScheduledStep): void {
    for (const load of step.adapterLoads) this.#loadAdapter(load)
    const { ints, floats } = this.#packer.pack(step)
    this.#native.submit(ints, floats)
  }

  #loadAdapter({ slot, adapter }: AdapterLoad): void {
    this.#native
      .loadAdapter(slot, adapter.text, adapter.tensors)
      .catch((error: unknown) => this.onAdapterFailed(adapter, error as Error))
  }

  copy(copies: readonly BlockCopy[]): Promise<void> {
    const flat = copies.flatMap((c) => [c.group, c.fromTier, c.from, c.toTier, c.to])
    return this.#native.copy(Int32Array.from(flat))
  }

  close(): Promise<void> {
    return this.#native.dispose()
  }
}

/** What the native engine calls back, on the thread that made it. */
export interface NativeCallbacks {
  onResult(ints: Int32Array, floats: Float32Array): void
  onDead(message: string): void
}

const NO_INTS = new Int32Array(0)
const NO_FLOATS = new Float32Array(0)

/** Views into the two result arrays of step.ts. Empty sections share one: a view costs a microsecond. */
export function readResult(ints: Int32Array, floats: Float32Array): StepResult {
  const samples = ints[ResultHeader.samples]!
  const tops = ints[ResultHeader.topTotal]!
  const ranks = RESULT_INTS + samples
  const topStarts = ranks + samples
  const topIds = topStarts + samples + 1
  const topLogprobs = 1 + samples
  const pooled = topLogprobs + tops
  return {
    stepId: ints[ResultHeader.stepId]!,
    seconds: floats[0]!,
    tokenIds: ints.subarray(RESULT_INTS, ranks),
    ranks: ints.subarray(ranks, topStarts),
    topStarts: ints.subarray(topStarts, topIds),
    topIds: tops === 0 ? NO_INTS : ints.subarray(topIds),
    logprobs: floats.subarray(1, topLogprobs),
    topLogprobs: tops === 0 ? NO_FLOATS : floats.subarray(topLogprobs, pooled),
    pooled: floats.length === pooled ? NO_FLOATS : floats.subarray(pooled),
  }
}
