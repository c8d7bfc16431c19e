import type { StoredType } from '../plan/ops.js'

/** The boundary: every name the .node file exports. csrc/addon.cc implements exactly this. */
export interface Addon {
  /** Must equal STEP_FORMAT_VERSION. */
  readonly stepFormatVersion: number
  /** Instruction sets of this CPU that there are kernels for, best first (ISAS of engine/config.ts); the last is 'portable'. */
  readonly instructionSets: readonly string[]
  /** CPUs that this process may use, by affinity and container quota. */
  availableCpus(): number
  /** Bytes of memory that this process may still take, by container limit and free memory. */
  availableMemory(): number
  /** Whether this build has the CUDA backend. */
  readonly hasCuda: boolean
  /** '' where device 'cuda' can be used; else why not, with what was looked for. */
  cudaFailure(): string
  /** Bytes of the GPU's memory. Throws where there is none. */
  cudaMemory(): { readonly free: number; readonly total: number }
  readonly Engine: new (options: NativeEngineOptions) => NativeEngine
  /**
   * Test only: the numbers of a matrix, or what its codes in a form such as `int4/32` stand for.
   * Throws an Error naming the tensor where its bytes do not fit.
   */
  decodeTensor(tensor: NativeTensor, form: string): Float32Array
  /** Test only: runs a plan on made-up inputs and gives the values asked for. Blocks the caller. */
  runPlan(request: RunPlanRequest): RunPlanResult
}

export interface NativeEngineOptions {
  readonly device: 'cpu' | 'cuda'
  /** 0: availableCpus() */
  readonly threads: number
  /** '' the best of instructionSets */
  readonly isa: string
  readonly blockSize: number
  /** Device blocks, block 0 included; with `memoryShare` the most that are of use. */
  readonly numBlocks: number
  /** On a GPU: the first load() runs the largest steps, and makes as many blocks as then fit in this share of its memory. */
  readonly memoryShare?: number
  readonly hostBlocks: number
  /** On a GPU: a row's numbers depend on its sequence only. The CPU's always do. */
  readonly batchInvariant?: boolean
  /** On a GPU: how many adapters have memory there, in slots 0, 1, …, which load() takes. Default 0. */
  readonly adapterSlots?: number
  /** On a GPU: the largest rank of their matrices. Default 0. */
  readonly adapterRank?: number
  /** The shared masks' memory (step.ts): ready [rows], masks [rows × words]; null: none. */
  readonly sharedMasks: Int32Array | null
  readonly sharedMaskRows: number
  /** Calls back on the thread that made the engine. What it throws becomes an uncaughtException. */
  onResult(ints: Int32Array, floats: Float32Array): void
  /** The engine is dead: steps in flight get no result. The message names the op that failed, if one did. */
  onDead(message: string): void
}

/** Bytes of a file: native maps it and checks the range against its length. */
export interface FileRange {
  readonly file: string
  /** Bytes from the start of the file. */
  readonly offset: number
  /** Bytes. */
  readonly length: number
  /** Of the elements: a StoredType, or what the file calls it. */
  readonly type: string
}

/** A checkpoint tensor: elements of a StoredType, or codes. */
export interface NativeTensor extends FileRange {
  readonly name: string
  readonly shape: readonly number[]
  /** Heads whose rows stand in pairs: rows i and i + n/2 of a head of n in rows 2i and 2i + 1. */
  readonly pairedHeads?: number
  /** The bytes are codes of this form (csrc/decoders/stored_tensor.h). */
  readonly encoding?: NativeEncoding
}

export interface NativeEncoding {
  readonly name: string
  /** Columns of a group where the name does not say; 0: the whole row. */
  readonly group: number
  /** Added to each scale. Default 0. */
  readonly offset?: number
  /** What it is made of besides its codes, by the names of csrc/decoders/stored_tensor.h. */
  readonly parts: Readonly<Record<string, FileRange>>
}

/** Deterministic random weights: every tensor of a plan from (seed, source name, element index). */
export interface DummyTensors {
  readonly seed: number
}

/** Where packed weights are kept for loads to come (csrc/cpu/packed_file.h). */
export interface WeightFile {
  readonly path: string
  /** What the weights are made of: another text, where their contents may differ. */
  readonly source: string
}

export interface LoadResult {
  /** Blocks of the device pool. */
  readonly deviceBlocks: number
  /** Lines for the log. */
  readonly notices: readonly string[]
}

export interface NativeEngine {
  /** One line for logs and `octavo info`, such as "cpu avx512, 2 threads". */
  readonly description: string
  /**
   * Loads plan number 0, 1, … and its weights, on the engine thread. The first plan's caches make the pool.
   * Where a weight file is named, the CPU takes the weights from there, or packs them and writes it.
   * Rejects with an Error whose message names the file and tensor; the engine can then only be disposed.
   */
  load(
    plan: string,
    tensors: readonly NativeTensor[] | DummyTensors,
    onProgress?: ((loadedBytes: number, totalBytes: number) => void) | null,
    weightFile?: WeightFile | null,
  ): Promise<LoadResult>
  /** Copies both arrays before it returns. Throws on a malformed step or a dead engine. */
  submit(ints: Int32Array, floats: Float32Array): void
  /**
   * Puts an adapter (text form, docs/plan-format.md) in a slot, before any step submitted later. Rejects with an Error
   * whose message names the file and tensor; the slot then holds one that changes nothing.
   */
  loadAdapter(slot: number, adapter: string, tensors: readonly NativeTensor[]): Promise<void>
  /** Groups of five: group, from tier, from, to tier, to. Runs in order with the steps. */
  copy(copies: Int32Array): Promise<void>
  /**
   * Lets the step in flight end and give its result, drops queued ones, cuts a load short, joins the
   * thread, frees memory. Idempotent. Promises of what was dropped reject.
   */
  dispose(): Promise<void>
  /** Steps submitted and result callbacks made since the start (for tests: one of each a step). */
  counters(): { submits: number; callbacks: number }
}

export interface RunPlanRequest {
  readonly plan: string
  /** Default 'cpu'. */
  readonly device?: 'cpu' | 'cuda'
  readonly batchInvariant?: boolean
  readonly threads: number
  readonly isa: string
  readonly blockSize: number
  readonly numBlocks: number
  /** By source name; elements as the type says (bfloat16 and float16 as Uint16Array). */
  readonly tensors: Readonly<
    Record<string, { type: StoredType; shape: readonly number[]; data: Float32Array | Uint16Array }>
  >
  /** Text forms of the adapters in slots 0, 1, …; their tensors are among `tensors`. */
  readonly adapters?: readonly string[]
  readonly steps: readonly {
    readonly ints: Int32Array
    readonly floats: Float32Array
    /** Rows that values get, by id, in place of what the op that writes them would compute. */
    readonly values?: Readonly<Record<number, Float32Array>>
  }[]
  /** Values to give back, by id, as the last op that wrote them left them. */
  readonly read: readonly number[]
}

export interface RunPlanResult {
  readonly steps: readonly {
    readonly ints: Int32Array
    readonly floats: Float32Array
    readonly values: Readonly<Record<number, Float32Array>>
  }[]
}
