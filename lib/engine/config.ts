import {
  checkBoolean,
  checkChoice,
  checkInteger,
  checkNumber,
  checkOptions,
  checkText,
  describe,
  isRecord,
  refuseUnlanded,
  wrongType,
} from '../check.js'
import type { NumberRange, RawOptions } from '../check.js'
import { EngineError } from '../errors.js'
import type { CacheType, StoredType } from '../plan/ops.js'
import type { PreemptionMode } from '../scheduling/preemption.js'
import type { LoadProgress } from './loading.js'
import { checkLoraConfig, type LoraConfig } from './lora-config.js'
import {
  checkSpeculativeConfig,
  type SpeculativeConfig,
  type SpeculativeOptions,
} from './speculative-config.js'

const DEVICES = ['auto', 'cpu', 'cuda'] as const
const DTYPES = ['auto', 'float32', 'bfloat16', 'float16'] as const
const KV_CACHE_DTYPES = [...DTYPES, 'int8', 'fp8'] as const
const LOAD_FORMATS = ['auto', 'safetensors', 'gguf', 'dummy'] as const
const SCHEDULING_POLICIES = ['fcfs', 'priority', 'mlfq'] as const
const GENERATION_CONFIGS = ['auto', 'vllm'] as const
const QUANTIZATIONS = ['int8', 'int4'] as const
const PREEMPTION_MODES = ['auto', 'recompute', 'swap'] as const
const LOGPROBS_MODES = ['raw', 'processed', 'raw_logprobs', 'processed_logprobs'] as const
const MATMUL_PRECISIONS = ['auto', 'float32', 'bfloat16', 'int16'] as const
export const ISAS = [
  'auto',
  'avx512_bf16',
  'avx512',
  'avx_vnni',
  'avx2',
  'neon_i8mm',
  'neon_dotprod',
  'neon',
  'portable',
] as const

/**
 * How to load and run a model. Names and meanings are vLLM's, in camelCase.
 *
 * @example
 * const engine = await LLMEngine.load('demo', { maxNumSeqs: 64, kvCacheDtype: 'int8' })
 */
export interface EngineOptions {
  /** Where to compute; auto: the best there is. Default auto. */
  device?: (typeof DEVICES)[number]
  /** Type of weights in memory; auto: as the checkpoint stores them. Default auto. */
  dtype?: (typeof DTYPES)[number]
  /**
   * Type of cached keys and values. int8 and fp8 take about half the memory of 16 bits, so that twice as
   * many tokens fit; docs/kernels.md says what they cost in accuracy. Default auto: on the CPU bfloat16
   * where products of matrices round their inputs too (weights in bfloat16 or quantised, and not
   * matmulPrecision float32), else float16, which latent rows always are; the weights' type on a GPU.
   */
  kvCacheDtype?: (typeof KV_CACHE_DTYPES)[number]
  /**
   * What the CPU rounds the inputs of products with bfloat16 matrices, keys and values to; sums are float32
   * either way. bfloat16 is twice as fast with many tokens on processors that multiply such numbers, and gives the
   * same on those that do not. int16: matrices that are not quantised become whole numbers of 15 bits, a scale
   * for each row, and their inputs of 13 bits, a scale for 32 columns; keys and values are as with bfloat16.
   * docs/performance.md has the perplexity of each. Default auto: bfloat16, int16 on processors that multiply such numbers
   * and none in bfloat16 (AVX-512 VNNI), but float32 with a float32 cache.
   */
  matmulPrecision?: (typeof MATMUL_PRECISIONS)[number]
  /**
   * Quantise matrices when they are loaded: int8, a scale for every 32 columns of a row, or int4, a scale
   * and a minimum for as many (the table of embeddings becomes int8). Default null: they stay as the checkpoint has them.
   */
  quantization?: string | null
  /**
   * Kind of weight files; dummy: deterministic random weights. A model without files of that kind is refused. Default auto:
   * safetensors where there are any, unless the name is a GGUF file's.
   */
  loadFormat?: (typeof LOAD_FORMATS)[number]
  /**
   * A folder, made where there is none, to keep packed weights in: the first load of a model writes a file, later
   * ones map it instead of packing, and processes share its memory (docs/loading.md). On the CPU. Default: none.
   */
  packedWeightsCache?: string
  /**
   * Longest sequence, prompt and output, in tokens. Default: the model's, lowered to what fits. Models with
   * longrope turn positions as they do in sequences of this length.
   */
  maxModelLen?: number
  /** Sequences that run at once at most. Default 256. */
  maxNumSeqs?: number
  /** Tokens that one step computes at most. Default 2048. */
  maxNumBatchedTokens?: number
  /** Tokens of a cache block. Default 16. */
  blockSize?: number
  /** Share of the GPU's memory to use, in (0, 1]; the CPU has no use for it. Default 0.9. */
  gpuMemoryUtilization?: number
  /** Size of the block pool in bytes. Default: what the memory allows. */
  kvCacheMemoryBytes?: number
  /** Size of the block pool in blocks, on every device. */
  numGpuBlocksOverride?: number
  /** Host memory for blocks of preempted requests, in GiB. Default 0 on the CPU: they are computed again. */
  swapSpace?: number
  /** Share full blocks between requests with the same beginning. Default true. */
  enablePrefixCaching?: boolean
  /** Split long prompts over steps. Default true. */
  enableChunkedPrefill?: boolean
  /** Prompts that may be unfinished at once; they share what decodes leave of a step. Default 1. */
  maxNumPartialPrefills?: number
  /**
   * Order of requests: first come, first served; by their `priority`, the lowest first; or short ones
   * before long ones, by a multi-level feedback queue. Default fcfs.
   */
  schedulingPolicy?: (typeof SCHEDULING_POLICIES)[number]
  /** Share of the block pool kept free when a request starts, for those that run to grow. Default 0.03. */
  watermark?: number
  /** How a preempted request gets its cache back; auto: as is quicker. Default auto. */
  preemptionMode?: (typeof PREEMPTION_MODES)[number]
  /** Schedule a step while the one before it runs. Default false. */
  asyncScheduling?: boolean
  /** Draft tokens and verify several in a step: the same outputs, sooner where they repeat what they hold. Default null. */
  speculativeConfig?: SpeculativeOptions | null
  /** Serve adapters (LoRA) that requests name by `loraRequest`, several at once (docs/lora.md). Default false. */
  enableLora?: boolean
  /** Adapters that lie beside the model at once; requests with others wait. Default 8. */
  maxLoras?: number
  /** The largest rank of an adapter. Default 64. */
  maxLoraRank?: number
  /** A sequence's numbers never depend on its batch; always so on the CPU. */
  batchInvariant?: boolean
  /** Devices that share each layer. Default 1. */
  tensorParallelSize?: number
  /** The most log-probabilities that a request may ask for; −1: no limit. Default 20. */
  maxLogprobs?: number
  /** Log-probabilities of the raw logits, or after all processors. Default raw. */
  logprobsMode?: (typeof LOGPROBS_MODES)[number]
  /** Leave the tokenizer out: prompts and outputs are token ids only. Default false. */
  skipTokenizerInit?: boolean
  /**
   * What sampling options are where a request leaves them out; auto: as the model's generation_config.json says
   * (temperature, topP, topK, minP and repetitionPenalty; of chats maxTokens), vllm: always the library's own. Default auto.
   */
  generationConfig?: (typeof GENERATION_CONFIGS)[number]
  /** In place of the model's chat template: a file of Jinja, or the template itself. */
  chatTemplate?: string
  /** Variables of the chat template, such as `enable_thinking`; a call's own `variables` win. */
  defaultChatTemplateKwargs?: Readonly<Record<string, unknown>>
  /** Seeds requests that have no seed of their own. Default 0. */
  seed?: number
  /** CPU threads, the engine's own being one; on CUDA they load weights. Default: the CPUs allowed to this process. */
  threads?: number
  /** Instruction set of the CPU kernels (docs/kernels.md); auto: the best that there is. Default auto. */
  isa?: (typeof ISAS)[number]
  /** Branch, tag or commit of a Hugging Face model. Default main. */
  revision?: string
  /** Use only models that are on this machine. Default false. */
  localFilesOnly?: boolean
  /** Receives one line a notice; false: none. Default: standard error. */
  log?: ((line: string) => void) | false
}

/** Options of an engine, and of its load alone. */
export interface LoadOptions extends EngineOptions {
  /** Told how far downloading and packing are, ten times a second at most (docs/loading.md). What it throws rejects the load. */
  onProgress?: (progress: LoadProgress) => void
  /** Rejects the load with `signal.reason` and frees what it holds. */
  signal?: AbortSignal
}

/** How `quantization` has matrices quantised at load. */
export type Quantization = (typeof QUANTIZATIONS)[number]

/** Checked engine options with every default filled in; null: decided when the model is loaded. Frozen. */
export interface EngineConfig {
  readonly device: (typeof DEVICES)[number]
  readonly dtype: StoredType | null
  readonly kvCacheDtype: CacheType | null
  readonly matmulPrecision: (typeof MATMUL_PRECISIONS)[number]
  readonly quantization: Quantization | null
  readonly loadFormat: (typeof LOAD_FORMATS)[number]
  /** A folder; null: packed weights are not kept. */
  readonly packedWeightsCache: string | null
  readonly maxModelLen: number | null
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly blockSize: number
  readonly kvCacheMemoryBytes: number | null
  readonly numGpuBlocksOverride: number | null
  readonly gpuMemoryUtilization: number | null
  readonly enablePrefixCaching: boolean
  readonly enableChunkedPrefill: boolean
  readonly asyncScheduling: boolean
  readonly speculativeConfig: SpeculativeConfig | null
  /** null: adapters are not served. */
  readonly lora: LoraConfig | null
  readonly batchInvariant: boolean
  /** GiB. */
  readonly swapSpace: number
  readonly maxNumPartialPrefills: number
  readonly schedulingPolicy: (typeof SCHEDULING_POLICIES)[number]
  readonly watermark: number
  readonly preemptionMode: PreemptionMode
  readonly maxLogprobs: number
  readonly logprobsMode: 'raw' | 'processed'
  readonly skipTokenizerInit: boolean
  readonly generationConfig: (typeof GENERATION_CONFIGS)[number]
  /** A file, or the template itself; null: the model's. */
  readonly chatTemplate: string | null
  readonly defaultChatTemplateKwargs: Readonly<Record<string, unknown>>
  readonly seed: number
  readonly threads: number | null
  readonly isa: (typeof ISAS)[number]
  readonly revision: string
  readonly localFilesOnly: boolean
  readonly log: (line: string) => void
}

const NAMES: Record<keyof LoadOptions, true> = {
  device: true,
  dtype: true,
  kvCacheDtype: true,
  matmulPrecision: true,
  quantization: true,
  loadFormat: true,
  packedWeightsCache: true,
  maxModelLen: true,
  maxNumSeqs: true,
  maxNumBatchedTokens: true,
  blockSize: true,
  gpuMemoryUtilization: true,
  kvCacheMemoryBytes: true,
  numGpuBlocksOverride: true,
  swapSpace: true,
  enablePrefixCaching: true,
  enableChunkedPrefill: true,
  maxNumPartialPrefills: true,
  schedulingPolicy: true,
  watermark: true,
  preemptionMode: true,
  asyncScheduling: true,
  speculativeConfig: true,
  enableLora: true,
  maxLoras: true,
  maxLoraRank: true,
  batchInvariant: true,
  tensorParallelSize: true,
  maxLogprobs: true,
  logprobsMode: true,
  skipTokenizerInit: true,
  generationConfig: true,
  chatTemplate: true,
  defaultChatTemplateKwargs: true,
  seed: true,
  threads: true,
  isa: true,
  revision: true,
  localFilesOnly: true,
  log: true,
  onProgress: true,
  signal: true,
}
/** Options of vLLM's for what is to come. */
const UNLANDED = ['maxCpuLoras']
const KNOWN: ReadonlySet<string> = new Set([...Object.keys(NAMES), ...UNLANDED])

/**
 * Checks an engine's options and fills in the defaults.
 *
 * @throws TypeError for an unknown option or a value of the wrong type, RangeError for a value that
 * is not allowed; both name the option, what was expected and what was found. EngineError
 * `not_supported` for what this version cannot do yet.
 * @example
 * resolveEngineOptions({ blockSize: 32 }).maxNumSeqs // 256
 */
export function resolveEngineOptions(options: LoadOptions = {}): EngineConfig {
  const raw = checkOptions(options, 'engine option', KNOWN)
  refuseUnlanded(raw, UNLANDED)
  refuse('tensorParallelSize', integer(raw, 'tensorParallelSize', 1, { min: 1 }), [1])
  const config: EngineConfig = {
    device: choice(raw, 'device', DEVICES),
    ...checkTypes(raw),
    packedWeightsCache: checkPackedWeightsCache(raw),
    ...checkSizes(raw),
    enablePrefixCaching: flag(raw, 'enablePrefixCaching', true),
    enableChunkedPrefill: flag(raw, 'enableChunkedPrefill', true),
    asyncScheduling: flag(raw, 'asyncScheduling', false),
    speculativeConfig: checkSpeculativeConfig(raw.speculativeConfig),
    lora: checkLoraConfig(raw),
    batchInvariant: flag(raw, 'batchInvariant', false),
    maxNumPartialPrefills: integer(raw, 'maxNumPartialPrefills', 1, { min: 1 }),
    schedulingPolicy: choice(raw, 'schedulingPolicy', SCHEDULING_POLICIES),
    watermark: number(raw, 'watermark', 0.03, { min: 0, max: 1 }),
    ...checkPreemption(raw),
    maxLogprobs: integer(raw, 'maxLogprobs', 20, { min: -1 }),
    logprobsMode: checkLogprobsMode(raw),
    skipTokenizerInit: flag(raw, 'skipTokenizerInit', false),
    generationConfig: choice(raw, 'generationConfig', GENERATION_CONFIGS),
    ...checkChats(raw),
    seed: integer(raw, 'seed', 0, {}),
    threads: integer(raw, 'threads', null, { min: 1, max: 256 }),
    isa: choice(raw, 'isa', ISAS),
    revision: raw.revision === undefined ? 'main' : checkText('revision', raw.revision),
    localFilesOnly: flag(raw, 'localFilesOnly', false),
    log: checkLog(raw),
  }
  return Object.freeze(config)
}

function flag(raw: RawOptions, name: keyof EngineOptions, fallback: boolean): boolean {
  const value = raw[name]
  return value === undefined ? fallback : checkBoolean(name, value)
}

function integer<D>(
  raw: RawOptions,
  name: keyof EngineOptions,
  fallback: D,
  range: NumberRange,
): number | D {
  const value = raw[name]
  return value === undefined ? fallback : checkInteger(name, value, range)
}

function number<D>(
  raw: RawOptions,
  name: keyof EngineOptions,
  fallback: D,
  range: NumberRange,
): number | D {
  const value = raw[name]
  return value === undefined ? fallback : checkNumber(name, value, range)
}

/** The first choice is the default. */
function choice<T extends string>(
  raw: RawOptions,
  name: keyof EngineOptions,
  choices: readonly [T, ...T[]],
): T {
  const value = raw[name]
  return value === undefined ? choices[0] : checkChoice(name, value, choices)
}

/** Values that have a meaning but have not landed. */
function refuse(name: keyof EngineOptions, value: unknown, landed: readonly unknown[]): void {
  if (landed.includes(value)) return
  throw new EngineError(
    'not_supported',
    `${name} ${describe(value)} is not supported by this version`,
  )
}

function checkQuantization(raw: RawOptions): Quantization | null {
  const value = raw.quantization ?? null
  if (value === null || value === 'none') return null
  const name = checkText('quantization', value)
  refuse('quantization', name, QUANTIZATIONS)
  return name as Quantization
}

function checkTypes(raw: RawOptions) {
  const given = <T extends string>(type: T | 'auto') => (type === 'auto' ? null : type)
  const quantization = checkQuantization(raw)
  if (quantization !== null && choice(raw, 'dtype', DTYPES) !== 'auto')
    throw new RangeError(
      `dtype: expected 'auto' with quantization '${quantization}', found ${describe(raw.dtype)}`,
    )
  return {
    quantization,
    matmulPrecision: choice(raw, 'matmulPrecision', MATMUL_PRECISIONS),
    dtype: given<StoredType>(choice(raw, 'dtype', DTYPES)),
    kvCacheDtype: given<CacheType>(choice(raw, 'kvCacheDtype', KV_CACHE_DTYPES)),
    loadFormat: choice(raw, 'loadFormat', LOAD_FORMATS),
  }
}

function checkChats(raw: RawOptions) {
  const { chatTemplate, defaultChatTemplateKwargs: variables = {} } = raw
  if (!isRecord(variables)) throw wrongType('defaultChatTemplateKwargs', 'an object', variables)
  return {
    chatTemplate: chatTemplate === undefined ? null : checkText('chatTemplate', chatTemplate),
    defaultChatTemplateKwargs: variables,
  }
}

function checkPackedWeightsCache(raw: RawOptions): string | null {
  if (raw.packedWeightsCache === undefined) return null
  const folder = checkText('packedWeightsCache', raw.packedWeightsCache)
  if (raw.loadFormat !== 'dummy') return folder
  throw new RangeError(
    "packedWeightsCache: expected none with loadFormat 'dummy', whose weights are of no file, " +
      `found ${describe(folder)}`,
  )
}

function checkSizes(raw: RawOptions) {
  return {
    maxModelLen: integer(raw, 'maxModelLen', null, { min: 1 }),
    maxNumSeqs: integer(raw, 'maxNumSeqs', 256, { min: 1 }),
    maxNumBatchedTokens: integer(raw, 'maxNumBatchedTokens', 2048, { min: 1 }),
    blockSize: integer(raw, 'blockSize', 16, { min: 1, max: 1024 }),
    kvCacheMemoryBytes: integer(raw, 'kvCacheMemoryBytes', null, { min: 1 }),
    numGpuBlocksOverride: integer(raw, 'numGpuBlocksOverride', null, { min: 1 }),
    gpuMemoryUtilization: number(raw, 'gpuMemoryUtilization', null, { above: 0, max: 1 }),
  }
}

function checkPreemption(raw: RawOptions) {
  const swapSpace = number(raw, 'swapSpace', 0, { min: 0 })
  const preemptionMode = choice(raw, 'preemptionMode', PREEMPTION_MODES)
  if (preemptionMode === 'swap' && swapSpace === 0)
    throw new RangeError("swapSpace: expected a number above 0 with preemptionMode 'swap', found 0")
  return { swapSpace, preemptionMode }
}

/** vLLM's names raw_logprobs and processed_logprobs mean the same. */
function checkLogprobsMode(raw: RawOptions): 'raw' | 'processed' {
  return choice(raw, 'logprobsMode', LOGPROBS_MODES).startsWith('raw') ? 'raw' : 'processed'
}

function checkLog(raw: RawOptions): (line: string) => void {
  const log = raw.log
  if (log === undefined) return (line) => process.stderr.write(`${line}\n`)
  if (log === false) return () => undefined
  if (typeof log !== 'function') throw wrongType('log', 'a function or false', log)
  return log as (line: string) => void
}
