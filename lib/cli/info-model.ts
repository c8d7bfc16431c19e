import { join } from 'node:path'
import { resolveEngineOptions, type EngineConfig } from '../engine/config.js'
import { type DeviceMemory, deviceMemory } from '../engine/device.js'
import { describeDefaults, generationDefaults } from '../engine/generation-defaults.js'
import { planTypes } from '../engine/plan-types.js'
import { planMemory } from '../engine/memory.js'
import { EngineError } from '../errors.js'
import type { ModelConfig } from '../models/config.js'
import { Fields } from '../models/fields.js'
import { buildPlan, readModelConfig } from '../models/registry.js'
import { loadAddon } from '../native/addon.js'
import type { Plan } from '../plan/ops.js'
import {
  cacheBytesPerToken,
  parameterCount,
  stateBytesPerSequence,
  weightBytes,
} from '../plan/size.js'
import { ChatTemplate } from '../text/chat-template.js'
import { folderTokenizer } from '../text/folder-tokenizer.js'
import { ggufTokenizer } from '../text/gguf-tokenizer.js'
import { parseObject, type TokenizerSource } from '../text/tokenizer-files.js'
import type { ModelFolder } from '../weights/model-folder.js'
import type { Fact } from './info.js'
import { fetchConfig, storedCheckpoint } from './load.js'
import { engineOptions } from './options.js'
import { bytes, count } from './terminal.js'

/** What a model is and what it needs, from its small files alone. */
export async function describeModel(
  name: string,
  flags: Readonly<Record<string, unknown>>,
): Promise<Fact[]> {
  const config = resolveEngineOptions(engineOptions(flags))
  const folder = await fetchConfig(name, config)
  const model = readModelConfig(folder.config, folder.configFile)
  const addon = loadAddon()
  const { instructionSets } = addon
  const memory = deviceMemory(addon, config)
  const checkpoint = await storedCheckpoint(folder)
  const plan = buildPlan(
    model,
    planTypes(config, { folder, model, checkpoint, instructionSets, ...memory }),
  )
  return [
    { name: 'folder', label: 'folder', text: folder.path, value: folder.path },
    ...modelFacts(model, plan),
    ...poolFacts(model, plan, config, memory),
    ...(await textFacts(folder)),
    samplingFact(folder),
  ]
}

function modelFacts(model: ModelConfig, plan: Plan): Fact[] {
  const parameters = parameterCount(plan)
  const { contextLength, architecture, layers, heads, vocabSize } = model
  const { kvHeads, headDim, latent } = cachedHeads(model, plan)
  const stored = latent ? `a latent row of ${headDim}` : `${kvHeads} of ${headDim}`
  const shape = `${layers} layers, ${heads} heads over ${stored}, vocabulary ${vocabSize.toLocaleString('en')}`
  return [
    { name: 'architecture', label: 'architecture', text: architecture, value: architecture },
    {
      name: 'shape',
      label: 'shape',
      text: shape,
      value: { layers, heads, kvHeads, headDim, vocabSize },
    },
    {
      name: 'parameters',
      label: 'parameters',
      text: parameters.toLocaleString('en'),
      value: parameters,
    },
    {
      name: 'contextLength',
      label: 'context',
      text: count(contextLength, 'token'),
      value: contextLength,
    },
    sizeFact('weightBytes', 'weights', weightBytes(plan), typesOf(plan)),
    sizeFact('cacheBytesPerToken', 'cache a token', cacheBytesPerToken(plan), cacheTypeOf(plan)),
    ...windowFacts(plan),
    ...stateFacts(plan),
  ]
}

/** What a layer keeps of a token; the family decides it, not config.json alone. */
function cachedHeads({ kvHeads, headDim }: ModelConfig, { caches }: Plan) {
  const group = caches.find((group) => group.kind !== 'state')
  if (!group) return { kvHeads, headDim, latent: false }
  return { kvHeads: group.kvHeads, headDim: group.keyDim, latent: group.latent ?? false }
}

/** How many layers keep the last tokens alone; nothing where all keep every token. */
function windowFacts({ caches }: Plan): Fact[] {
  const layers = new Map<number, number>()
  for (const group of caches) {
    if (group.kind !== 'window') continue
    layers.set(group.window, (layers.get(group.window) ?? 0) + group.layers)
  }
  const windows = [...layers].map(([window, count]) => ({ window, layers: count }))
  if (windows.length === 0) return []
  const text = windows.map((of) => `${count(of.window, 'token')} in ${count(of.layers, 'layer')}`)
  return [{ name: 'windows', label: 'windows', text: text.join(', '), value: windows }]
}

/** What a sequence keeps whatever its length; nothing where there is no such thing. */
function stateFacts(plan: Plan): Fact[] {
  const value = stateBytesPerSequence(plan)
  return value > 0 ? [sizeFact('stateBytesPerSequence', 'state', value, 'a sequence')] : []
}

function cacheTypeOf({ caches }: Plan): string {
  const types = caches.flatMap((group) => (group.kind === 'state' ? [] : [group.type]))
  return types[0] ?? 'none'
}

/** What the block pool would hold if the model were loaded now; or why it would not fit. */
function poolFacts(
  model: ModelConfig,
  plan: Plan,
  config: EngineConfig,
  memory: DeviceMemory,
): Fact[] {
  try {
    const { numBlocks, cache, maxModelLen } = planMemory({
      plan,
      config,
      modelMaxLen: model.contextLength,
      ...memory,
    })
    // A token takes room in a block of each group; those behind a window give theirs back.
    const tables = plan.caches.filter(({ kind }) => kind !== 'state').length
    const tokens = Math.floor((numBlocks - 1) / Math.max(1, tables)) * config.blockSize
    const text = `${count(tokens, 'token')} in ${bytes(cache)}; a sequence of up to ${maxModelLen.toLocaleString('en')}`
    return [{ name: 'pool', label: 'pool', text, value: { tokens, bytes: cache, maxModelLen } }]
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return [{ name: 'pool', label: 'pool', text: error.message, value: null }]
  }
}

async function textFacts(model: ModelFolder): Promise<Fact[]> {
  const file = join(model.path, 'tokenizer.json')
  const source = model.gguf ? ggufTokenizer(model.gguf) : await folderTokenizer(model.path)
  const kind = source === null ? null : kindOf(source, file)
  const template = model.gguf
    ? ChatTemplate.from(source?.config.chat_template)
    : await ChatTemplate.load(model.path)
  const hasTemplate = template !== null
  return [
    { name: 'tokenizer', label: 'tokenizer', text: kind ?? 'none', value: kind },
    {
      name: 'chatTemplate',
      label: 'chat template',
      text: hasTemplate ? 'yes' : 'none',
      value: hasTemplate,
    },
  ]
}

/** What sampling options are where requests leave them out. */
function samplingFact(folder: ModelFolder): Fact {
  const fact = { name: 'samplingDefaults', label: 'sampling' }
  try {
    const value = generationDefaults(folder)
    return { ...fact, text: describeDefaults(value) || "the library's own", value }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return { ...fact, text: error.message, value: null }
  }
}

function kindOf({ tokenizerJson }: TokenizerSource, file: string): string {
  const json = typeof tokenizerJson === 'string' ? parseObject(tokenizerJson, file) : tokenizerJson
  return new Fields(json, file).object('model').text('type', 'unknown')
}

function sizeFact(name: string, label: string, value: number, type: string): Fact {
  return { name, label, text: `${bytes(value)}, ${type}`, value }
}

/** The types of the matrices. */
function typesOf(plan: Plan): string {
  const matrices = plan.weights.filter(({ role }) => role === 'matrix')
  return [...new Set(matrices.map(({ type }) => type))].join(' and ')
}
