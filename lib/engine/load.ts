import { mkdir } from 'node:fs/promises'
import { EngineError, loadError } from '../errors.js'
import { buildPlan, readModelConfig } from '../models/registry.js'
import { loadAddon } from '../native/addon.js'
import type {
  Addon,
  DummyTensors,
  NativeEngine,
  NativeTensor,
  WeightFile,
} from '../native/addon-types.js'
import { NativeExecutor, type NativeCallbacks } from '../native/native-executor.js'
import type { Plan, PoolOp } from '../plan/ops.js'
import { embeddingColumns, longRopeFrom } from '../plan/size.js'
import { printPlan } from '../plan/text.js'
import { fcfs, mlfq, priority } from '../scheduling/policy.js'
import { Scheduler } from '../scheduling/scheduler.js'
import { StructuredMasks } from '../structured/structured-masks.js'
import { tokenBytesOf } from '../structured/token-bytes.js'
import { ChatTemplate } from '../text/chat-template.js'
import { loadText, type ModelText } from '../text/load-text.js'
import { checkpointOf, matchCheckpoint, type Checkpoint } from '../weights/checkpoint.js'
import { locateModel, type ModelFolder } from '../weights/model-folder.js'
import { packedWeightFile } from '../weights/packed-weights.js'
import { measureBlockCopy } from './block-copy-time.js'
import { type EngineConfig, type LoadOptions, resolveEngineOptions } from './config.js'
import { type Device, deviceMemory, gpuMemoryShare } from './device.js'
import { downloadNotice } from './download-notice.js'
import { endTokenIds } from './end-tokens.js'
import {
  describeDefaults,
  generationDefaults,
  type GenerationDefaults,
} from './generation-defaults.js'
import { Intake } from './intake.js'
import type { EngineParts } from './engine-parts.js'
import { Loading } from './loading.js'
import { Loras } from './loras.js'
import { type MemoryPlan, type MemoryRequest, planMemory } from './memory.js'
import { type FoundModel, planTypes } from './plan-types.js'
import { requestOf } from './request.js'
import { checkSpeculates } from './speculative-config.js'

const NO_TEXT = { tokenizer: null, chatTemplate: null }

const POLICIES = { fcfs, priority, mlfq: mlfq() }

/** A model that was found and understood, and how its memory is divided; no weight is read yet. */
export interface PlannedModel extends FoundModel {
  readonly plan: Plan
  readonly request: MemoryRequest
  readonly memory: MemoryPlan
}

/** Finds a model, checks that it fits, loads it, and makes an engine's parts. */
export async function loadEngineParts(name: string, options: LoadOptions): Promise<EngineParts> {
  const config = resolveEngineOptions(options)
  const loading = new Loading(options, downloadNotice(name, config.log))
  try {
    loading.signal.throwIfAborted()
    return await load(name, config, loading)
  } catch (error) {
    loading.signal.throwIfAborted() // whatever failed, it was called off before
    throw error
  }
}

async function load(name: string, config: EngineConfig, loading: Loading): Promise<EngineParts> {
  const addon = loadAddon()
  const template = await ChatTemplate.given(config.chatTemplate)
  const found = await planModel(name, config, addon, loading.whileLocating)
  loading.signal.throwIfAborted()
  const { folder, checkpoint, model, device: kind, plan } = found
  const samplingDefaults = samplingDefaultsOf(folder, config)
  let { memory } = found
  if (memory.mostBlocks === null) tell(memory, config)
  let text: ModelText | typeof NO_TEXT = NO_TEXT
  const tokens = () =>
    tokenBytesOf(text.tokenizer!, plan.vocabSize, endTokenIds(folder, model, text.tokenizer))
  // Without a tokenizer, nothing is known of what tokens write.
  const masks = config.skipTokenizerInit
    ? null
    : new StructuredMasks(memory.limits.samples, plan.vocabSize, tokens)
  const { executor, native } = connect(addon, { device: kind, plan, memory, config, masks })
  // Ends what runs there; what is awaited of it rejects.
  const dispose = () => void native.dispose()
  loading.signal.addEventListener('abort', dispose)
  const chooses = memory.hostBlocks > 0 && config.preemptionMode === 'auto'
  let blockCopySeconds = 0
  try {
    const tensors = tensorsOf(checkpoint, plan, config)
    const weightFile = await weightFileOf(found, config, tensors)
    // The tokenizer is made here while the weights are packed there.
    const [{ deviceBlocks, notices }, loaded] = await Promise.all([
      native.load(printPlan(plan, memory.limits), tensors, loading.onWeights, weightFile),
      config.skipTokenizerInit ? NO_TEXT : loadText(folder, template),
    ])
    text = loaded
    notices.forEach(config.log)
    if (memory.mostBlocks !== null) {
      memory = planMemory({ ...found.request, loadedBlocks: deviceBlocks })
      tell(memory, config)
    }
    if (chooses) blockCopySeconds = await measureBlockCopy(executor, memory)
    loading.signal.throwIfAborted()
  } catch (error) {
    await native.dispose()
    throw loadFailure(error)
  } finally {
    loading.signal.removeEventListener('abort', dispose)
  }
  const scheduler = makeScheduler(config, plan, memory, blockCopySeconds)
  const { maxModelLen } = memory
  const loras = new Loras(modulePlans(found, config), config)
  const intake = new Intake({
    config,
    vocabSize: plan.vocabSize,
    embeddingColumns: embeddingColumns(plan),
    maxModelLen,
    eosTokenIds: endTokenIds(folder, model, text.tokenizer),
    ...text,
    samplingDefaults,
    embeddingSize: pooledColumns(plan),
    scheduler,
    loras,
    masks,
  })
  const { description: device } = native
  return { model: name, config, maxModelLen, device, scheduler, executor, intake, loras }
}

/** Finds a model and works out its plan and memory. Throws before anything large is read. */
export async function planModel(
  name: string,
  config: EngineConfig,
  addon: Addon,
  watch: Loading['whileLocating'] = {},
): Promise<PlannedModel> {
  const { loadFormat } = config
  const folder = await locateModel(name, {
    revision: config.revision,
    ...(loadFormat === 'dummy' ? { weights: false } : { format: loadFormat }),
    ...(config.localFilesOnly ? { download: false } : {}),
    ...watch,
  })
  const model = readModelConfig(folder.config, folder.configFile)
  const checkpoint = loadFormat === 'dummy' ? null : await checkpointOf(folder)
  const { device, available } = deviceMemory(addon, config)
  const found = { folder, checkpoint, model, device, instructionSets: addon.instructionSets }
  const plan = buildPlan(model, planTypes(config, found))
  checkSpeculates(plan, config.speculativeConfig)
  const request = { plan, config, modelMaxLen: model.contextLength, device, available }
  return { ...found, plan, request, memory: planMemory(request) }
}

/** The plan with the modules of a folder, and with those of a GGUF file, which may fuse some: adapters name either. */
function modulePlans({ plan, ...found }: PlannedModel, config: EngineConfig): readonly Plan[] {
  if (config.lora === null) return [plan]
  const { config: json, configFile } = found.folder
  return [false, true].map((fused_qkv) => {
    const model = readModelConfig({ ...(json as object), fused_qkv }, configFile)
    return buildPlan(model, planTypes(config, found))
  })
}

function tell({ notice }: MemoryPlan, { log }: EngineConfig): void {
  if (notice !== null) log(notice)
}

/** The model's sampling options, which hold where requests say nothing, and are told. */
function samplingDefaultsOf(folder: ModelFolder, config: EngineConfig): GenerationDefaults {
  const defaults = config.generationConfig === 'vllm' ? {} : generationDefaults(folder)
  const described = describeDefaults(defaults)
  if (described !== '')
    config.log(`generation_config.json: ${described}, unless a request says otherwise`)
  return defaults
}

function pooledColumns({ ops }: Plan): number | null {
  const pool = ops.find(({ kind }) => kind === 'pool') as PoolOp | undefined
  return pool?.input.cols ?? null
}

interface Connection {
  readonly device: Device
  readonly plan: Plan
  readonly memory: MemoryPlan
  readonly config: EngineConfig
  readonly masks: StructuredMasks | null
}

function connect(addon: Addon, { device, plan, memory, config, masks }: Connection) {
  checkInstructionSet(addon, config.isa)
  let native: NativeEngine | undefined
  const make = (callbacks: NativeCallbacks) =>
    (native = new addon.Engine({
      device,
      threads: config.threads ?? 0,
      isa: config.isa === 'auto' ? '' : config.isa,
      blockSize: config.blockSize,
      numBlocks: memory.mostBlocks ?? memory.numBlocks,
      ...(memory.mostBlocks !== null && { memoryShare: gpuMemoryShare(config) }),
      hostBlocks: memory.hostBlocks,
      batchInvariant: config.batchInvariant,
      adapterSlots: config.lora?.maxLoras ?? 0,
      adapterRank: config.lora?.maxLoraRank ?? 0,
      sharedMasks: masks?.memory.ints ?? null,
      sharedMaskRows: masks?.memory.rows ?? 0,
      ...callbacks,
    }))
  const executor = new NativeExecutor(make, {
    groups: plan.caches.length,
    vocabSize: plan.vocabSize,
    processedLogprobs: config.logprobsMode === 'processed',
    masks,
    rulesOf: (group) => {
      const request = requestOf(group)
      if (request === null) throw new Error(`request ${group.requestId} is not known`)
      return request.rules
    },
  })
  return { executor, native: native! }
}

function checkInstructionSet({ instructionSets }: Addon, isa: EngineConfig['isa']): void {
  if (isa === 'auto' || instructionSets.includes(isa)) return
  const message = `isa: '${isa}' is not available on this CPU; it has ${instructionSets.join(', ')}`
  throw new EngineError('device_unavailable', message)
}

function makeScheduler(
  config: EngineConfig,
  plan: Plan,
  memory: MemoryPlan,
  blockCopySeconds: number,
): Scheduler {
  return new Scheduler({
    blockSize: config.blockSize,
    numBlocks: memory.numBlocks,
    hostBlocks: memory.hostBlocks,
    cacheGroups: plan.caches,
    maxNumBatchedTokens: config.maxNumBatchedTokens,
    maxNumSeqs: config.maxNumSeqs,
    maxSamples: memory.limits.samples,
    enableChunkedPrefill: config.enableChunkedPrefill,
    enablePrefixCaching: config.enablePrefixCaching,
    maxNumPartialPrefills: config.maxNumPartialPrefills,
    watermark: config.watermark,
    policy: POLICIES[config.schedulingPolicy],
    preemptionMode: config.preemptionMode,
    blockCopySeconds,
    recomputeBeyond: longRopeFrom(plan),
    speculation: config.speculativeConfig,
    adapterSlots: config.lora?.maxLoras,
  })
}

function tensorsOf(checkpoint: Checkpoint | null, plan: Plan, { seed }: EngineConfig) {
  return checkpoint === null ? { seed } : matchCheckpoint(plan, checkpoint)
}

/** Where the packed weights are kept. A folder that cannot be made is told, and nothing is kept. */
async function weightFileOf(
  { folder, plan }: PlannedModel,
  { packedWeightsCache, log }: EngineConfig,
  tensors: readonly NativeTensor[] | DummyTensors,
): Promise<WeightFile | null> {
  if (packedWeightsCache === null || 'seed' in tensors) return null
  try {
    await mkdir(packedWeightsCache, { recursive: true })
  } catch (error) {
    log(`packedWeightsCache: nothing is kept: ${(error as Error).message}`)
    return null
  }
  return packedWeightFile(packedWeightsCache, folder.path, plan, tensors)
}

function loadFailure(error: unknown): unknown {
  if (error instanceof EngineError || !(error instanceof Error)) return error
  return loadError(error)
}
