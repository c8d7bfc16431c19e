import type { Command } from 'commander'
import type { EngineOptions } from '../engine/config.js'
import type { SamplingOptions } from '../sampling-params.js'
import { addFlags, flagValues, type FlagTable } from './flags.js'

const SAMPLING_FLAGS: FlagTable<keyof SamplingOptions> = {
  maxTokens: { kind: 'number', value: 'count', help: 'the most tokens to draw' },
  minTokens: { kind: 'number', value: 'count', help: 'draw at least this many tokens' },
  temperature: { kind: 'number', help: '0: always the most likely token (default: 1)' },
  topP: { kind: 'number', help: 'keep the likeliest tokens up to this probability, in (0, 1]' },
  topK: { kind: 'number', value: 'count', help: 'keep this many of the likeliest tokens' },
  minP: { kind: 'number', help: "keep tokens with this share of the likeliest one's probability" },
  seed: { kind: 'number', help: 'the same seed and prompt give the same tokens' },
  n: { kind: 'number', value: 'count', short: 'n', help: 'outputs for each prompt (default: 1)' },
  bestOf: { kind: 'number', value: 'count', help: 'draw this many outputs, give the n likeliest' },
  beamWidth: { kind: 'number', value: 'count', help: 'search with this many beams, draw nothing' },
  lengthPenalty: { kind: 'number', help: 'above 0 favours long beams (default: 1)' },
  earlyStopping: { kind: 'onOrText', value: 'never', help: 'end a search at beam-width outputs' },
  stop: { kind: 'texts', help: 'end at this text; repeatable' },
  stopTokenIds: { kind: 'integers', help: 'end at these tokens' },
  includeStopStrInOutput: { kind: 'on', help: 'keep the stop text in the output' },
  ignoreEos: { kind: 'on', help: "go on after the model's end token" },
  presencePenalty: { kind: 'number', help: 'against tokens that were used, in [-2, 2]' },
  frequencyPenalty: { kind: 'number', help: 'the same for each time they were used' },
  repetitionPenalty: { kind: 'number', help: 'above 1: against tokens of prompt and output' },
  logitBias: { kind: 'bias', help: "add to a token's logit; repeatable" },
  allowedTokenIds: { kind: 'integers', help: 'draw only these tokens' },
  badWords: { kind: 'texts', help: 'never write this text; repeatable' },
  structuredOutputs: { kind: 'json', help: 'such as \'{"choice": ["yes", "no"]}\'' },
  logprobs: { kind: 'number', value: 'count', help: 'log-probabilities, shown by --json' },
  promptLogprobs: { kind: 'number', value: 'count', help: "the prompt's, shown by --json" },
  skipSpecialTokens: { kind: 'off', help: 'show special tokens' },
  truncatePromptTokens: { kind: 'number', value: 'count', help: "keep the prompt's last tokens" },
  priority: { kind: 'number', help: 'with --scheduling-policy priority: the lowest first' },
}

/** Without `log`, which is a function. */
export const ENGINE_FLAGS: FlagTable<Exclude<keyof EngineOptions, 'log'>> = {
  device: { kind: 'text', value: 'name', help: 'auto, cpu or cuda (default: auto)' },
  dtype: { kind: 'text', value: 'type', help: 'of weights: auto, float32, bfloat16 or float16' },
  kvCacheDtype: {
    kind: 'text',
    value: 'type',
    help: 'of cached keys and values: these, int8, fp8',
  },
  matmulPrecision: {
    kind: 'text',
    value: 'type',
    help: 'of products with bfloat16 matrices: auto, float32, bfloat16 or int16',
  },
  loadFormat: {
    kind: 'text',
    value: 'format',
    help: 'auto, safetensors, gguf or dummy (random weights)',
  },
  packedWeightsCache: {
    kind: 'text',
    value: 'folder',
    help: 'keep packed weights there: later loads are faster',
  },
  maxModelLen: { kind: 'number', value: 'tokens', help: 'longest sequence, prompt and output' },
  maxNumSeqs: { kind: 'number', value: 'count', help: 'sequences at once (default: 256)' },
  maxNumBatchedTokens: { kind: 'number', value: 'tokens', help: 'of one step (default: 2048)' },
  blockSize: { kind: 'number', value: 'tokens', help: 'of a cache block (default: 16)' },
  kvCacheMemoryBytes: { kind: 'number', value: 'bytes', help: 'size of the block pool' },
  numGpuBlocksOverride: { kind: 'number', value: 'blocks', help: 'size of the block pool' },
  enablePrefixCaching: { kind: 'off', help: 'share no blocks between requests' },
  enableChunkedPrefill: { kind: 'off', help: 'compute each prompt in one step' },
  maxNumPartialPrefills: {
    kind: 'number',
    value: 'count',
    help: 'prompts that may be unfinished at once (default: 1)',
  },
  schedulingPolicy: { kind: 'text', value: 'name', help: 'fcfs, priority or mlfq (short first)' },
  watermark: { kind: 'number', value: 'share', help: 'of blocks kept free (default: 0.03)' },
  preemptionMode: { kind: 'text', value: 'mode', help: 'auto, recompute or swap' },
  swapSpace: { kind: 'number', value: 'GiB', help: 'host memory for blocks of preempted requests' },
  maxLogprobs: { kind: 'number', value: 'count', help: 'the most a request may ask for' },
  logprobsMode: { kind: 'text', value: 'mode', help: 'raw or processed' },
  threads: { kind: 'number', value: 'count', help: 'CPU threads (default: the CPUs allowed)' },
  isa: {
    kind: 'text',
    value: 'name',
    help: "instruction set of the CPU's that 'octavo info' lists",
  },
  revision: { kind: 'text', value: 'name', help: 'branch, tag or commit of a Hugging Face model' },
  localFilesOnly: { kind: 'on', help: 'download nothing' },
  generationConfig: {
    kind: 'text',
    value: 'whose',
    help: "sampling defaults: the model's (auto) or the library's own (vllm)",
  },
  chatTemplate: { kind: 'text', value: 'file', help: "in place of the model's" },
  defaultChatTemplateKwargs: {
    kind: 'json',
    help: 'variables of the chat template, such as \'{"enable_thinking": false}\'',
  },
  seed: { kind: 'number', help: 'seeds requests that have no seed of their own (default: 0)' },
  skipTokenizerInit: { kind: 'on', help: 'token ids only', hidden: true },
  quantization: { kind: 'text', value: 'form', help: 'quantise the weights at load: int8 or int4' },
  gpuMemoryUtilization: {
    kind: 'number',
    value: 'share',
    help: "of the GPU's memory (default: 0.9)",
  },
  asyncScheduling: { kind: 'on', help: 'schedule a step while the one before it runs' },
  speculativeConfig: {
    kind: 'options',
    help: 'draft tokens: \'{"method": "ngram", "num_speculative_tokens": 4}\'',
  },
  enableLora: { kind: 'on', help: 'serve adapters (LoRA) that requests name' },
  maxLoras: { kind: 'number', value: 'count', help: 'adapters at once (default: 8)' },
  maxLoraRank: { kind: 'number', help: 'the largest of an adapter (default: 64)' },
  batchInvariant: { kind: 'on', help: 'the same numbers in any batch; always so on the CPU' },
  tensorParallelSize: { kind: 'number', help: 'devices that share layers', hidden: true },
}

const PLAN_FLAGS = pick(ENGINE_FLAGS, [
  'dtype',
  'quantization',
  'kvCacheDtype',
  'matmulPrecision',
  'maxModelLen',
  'maxNumSeqs',
  'maxNumBatchedTokens',
  'blockSize',
  'kvCacheMemoryBytes',
  'numGpuBlocksOverride',
  'swapSpace',
  'revision',
  'localFilesOnly',
])

type Given = Readonly<Record<string, unknown>>

/** What a command's model may be. */
export const MODEL_HELP =
  "'demo', a folder, a .gguf file or a Hugging Face id, as org/name or org/name:Q4_K_M"

/** Adds `-m, --model`, the model that a command loads. */
export function addModelFlag(command: Command): Command {
  return command.option('-m, --model <model>', MODEL_HELP, 'demo')
}

export function addSamplingFlags(command: Command): Command {
  return addFlags(command, 'Sampling:', SAMPLING_FLAGS)
}

/** Adds the engine's flags; of a command with sampling flags, `--seed` is the requests'. */
export function addEngineFlags(command: Command): Command {
  const { seed, ...others } = ENGINE_FLAGS
  const seeded = command.options.some((option) => option.attributeName() === 'seed')
  return addFlags(command, 'Engine:', seeded ? others : { ...others, seed })
}

/** Adds the engine flags that matter before anything is loaded. */
export function addPlanFlags(command: Command): Command {
  return addFlags(command, 'Engine:', PLAN_FLAGS)
}

/** The sampling options among what was given; what their values may be is the engine's to check. */
export function samplingOptions(given: Given): SamplingOptions {
  return flagValues(SAMPLING_FLAGS, given) as SamplingOptions
}

/** The engine's options among what was given; what their values may be is the engine's to check. */
export function engineOptions(given: Given): EngineOptions {
  return flagValues(ENGINE_FLAGS, given) as EngineOptions
}

function pick<Name extends string, Picked extends Name>(
  table: FlagTable<Name>,
  names: readonly Picked[],
): FlagTable<Picked> {
  return Object.fromEntries(names.map((name) => [name, table[name]])) as FlagTable<Picked>
}
