import { createRequire } from 'node:module'
import { join } from 'node:path'
import { buildPlan, readModelConfig } from '../../lib/models/registry.js'
import type { Addon, NativeEngine, NativeEngineOptions } from '../../lib/native/addon-types.js'
import {
  HEADER_INTS,
  Header,
  SAMPLE_FLOATS,
  SAMPLE_INTS,
  SampleFloat,
  SampleInt,
  STEP_FORMAT_VERSION,
} from '../../lib/native/step.js'
import { printPlan } from '../../lib/plan/text.js'

export const TOY_VOCAB = 96
export const TOY_LIMITS = { tokens: 64, sequences: 8, samples: 16 }

/** The text of a small Llama's plan. `width` and `layers` say how long a step of it takes. */
export function toyPlan({ width = 32, layers = 2, limits = TOY_LIMITS } = {}): string {
  const config = readModelConfig({
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: TOY_VOCAB,
    hidden_size: width,
    intermediate_size: 2 * width,
    num_hidden_layers: layers,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    torch_dtype: 'float32',
    bos_token_id: 0,
    eos_token_id: 1,
  })
  return printPlan(buildPlan(config, { weightType: 'float32', cacheType: 'float32' }), limits)
}

/** The addon as plain JavaScript sees it, in this process or in a child bundled elsewhere. */
export function requireAddon(root = process.cwd()): Addon {
  const file = process.env.OCTAVO_ADDON ?? join(root, 'build/Release/octavo.node')
  return createRequire(import.meta.url)(file) as Addon
}

/** Remembers what an engine called back. */
export class Events {
  readonly results: { ints: Int32Array; floats: Float32Array }[] = []
  readonly deaths: string[] = []
  #wake: () => void = () => undefined

  /** `then` is called in each result's callback. */
  constructor(readonly then: () => void = () => undefined) {}

  readonly onResult = (ints: Int32Array, floats: Float32Array): void => {
    this.results.push({ ints, floats })
    this.#wake()
    this.then()
  }
  readonly onDead = (message: string): void => {
    this.deaths.push(message)
    this.#wake()
  }

  /** Waits until there are so many results, or until the engine is dead. */
  async until(results: number): Promise<void> {
    while (this.results.length < results && this.deaths.length === 0) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

export function toyEngine(
  addon: Addon,
  events: Pick<NativeEngineOptions, 'onResult' | 'onDead'>,
  options: Partial<NativeEngineOptions> = {},
): NativeEngine {
  const { onResult, onDead } = events
  return new addon.Engine({
    device: 'cpu',
    threads: 2,
    isa: '',
    blockSize: 16,
    numBlocks: 16,
    hostBlocks: 4,
    sharedMasks: null,
    sharedMaskRows: 0,
    onResult,
    onDead,
    ...options,
  })
}

export interface ToySequence {
  /** Token ids; −1−r for what row r of the step before sampled. */
  readonly tokens: readonly number[]
  /** Position of the first token. */
  readonly start?: number
  /** Tokens that are known. Default: these, and those before them. */
  readonly length?: number
  readonly blocks: readonly number[]
  /** Slot of its adapter. Default −1: none. */
  readonly adapter?: number
}

export interface ToyStep {
  readonly id?: number
  readonly plan?: number
  /** Cache groups; each gets the same tables. */
  readonly groups?: number
  readonly sequences: readonly ToySequence[]
  /** Token row and integers of each sample row. */
  readonly samples?: readonly Partial<Record<keyof typeof SampleInt, number>>[]
  readonly temperature?: number
  readonly penalties?: readonly number[]
  readonly biasIds?: readonly number[]
  readonly masks?: readonly (readonly number[])[]
  /** Rows that ids from the vocabulary's size on name. */
  readonly embeddings?: readonly (readonly number[])[]
  readonly copiesBefore?: readonly number[]
  readonly copiesAfter?: readonly number[]
  /** First token row, row count and place in `carried` of each, −1: none. */
  readonly pools?: readonly (readonly [number, number, number])[]
  readonly carried?: Float32Array
}

/** Packs a step by hand, section by section as step.ts lists them. */
export function packToy(step: ToyStep): [ints: Int32Array, floats: Float32Array] {
  const { sequences, samples = [], penalties = [], biasIds = [], masks = [] } = step
  const { copiesBefore = [], copiesAfter = [], pools = [], carried = [], embeddings = [] } = step
  const tokens = sequences.flatMap((sequence) => sequence.tokens)
  const groups = step.groups ?? 1
  const tables = Array<ToyStep['sequences']>(groups).fill(sequences).flat()
  const tableLength = tables.reduce((total, { blocks }) => total + blocks.length, 0)
  const header = new Array<number>(HEADER_INTS).fill(0)
  header[Header.version] = STEP_FORMAT_VERSION
  header[Header.stepId] = step.id ?? 1
  header[Header.plan] = step.plan ?? 0
  header[Header.tokens] = tokens.length
  header[Header.sequences] = sequences.length
  header[Header.samples] = samples.length
  header[Header.groups] = groups
  header[Header.tableLength] = tableLength
  header[Header.penalties] = penalties.length / 3
  header[Header.biases] = biasIds.length
  header[Header.masks] = masks.length
  header[Header.maskWords] = masks[0]?.length ?? 0
  header[Header.copiesBefore] = copiesBefore.length / 5
  header[Header.copiesAfter] = copiesAfter.length / 5
  header[Header.pools] = pools.length
  header[Header.carriedLength] = carried.length
  header[Header.embeddings] = embeddings.length
  header[Header.embeddingColumns] = embeddings[0]?.length ?? 0

  const ints = [...header, ...tokens]
  for (const { tokens, start = 0 } of sequences) ints.push(...tokens.map((_, i) => start + i))
  let row = 0
  for (const { tokens, start = 0, length = start + tokens.length, adapter = -1 } of sequences) {
    ints.push(row, tokens.length, start + tokens.length, length, adapter)
    row += tokens.length
  }
  let tableStart = 0
  for (const { blocks } of tables) {
    ints.push(tableStart)
    tableStart += blocks.length
  }
  ints.push(tableStart, ...tables.flatMap(({ blocks }) => blocks))
  for (const sample of samples) {
    const entry = new Array<number>(SAMPLE_INTS).fill(0)
    const full = { target: -1, mask: -1, sharedMask: -1, ...sample }
    for (const [name, value] of Object.entries(full)) {
      entry[SampleInt[name as keyof typeof SampleInt]] = value
    }
    ints.push(...entry)
  }
  ints.push(
    ...penalties,
    ...biasIds,
    ...masks.flat(),
    ...copiesBefore,
    ...copiesAfter,
    ...pools.flat(),
  )

  const behind = samples.length * SAMPLE_FLOATS + biasIds.length
  const rows = embeddings.flat()
  const floats = new Float32Array(behind + carried.length + rows.length)
  floats.set(carried, behind)
  floats.set(rows, behind + carried.length)
  for (let r = 0; r < samples.length; r++) {
    floats[r * SAMPLE_FLOATS + SampleFloat.temperature] = step.temperature ?? 0
    floats[r * SAMPLE_FLOATS + SampleFloat.topP] = 1
    floats[r * SAMPLE_FLOATS + SampleFloat.repetitionPenalty] = 1
  }
  return [Int32Array.from(ints), floats]
}

/** A prompt of `length` tokens that draws one token at its end. */
export function promptStep(length: number, id = 1): [ints: Int32Array, floats: Float32Array] {
  const tokens = Array.from({ length }, (_, i) => (i * 7) % TOY_VOCAB)
  const blocks = Array.from({ length: Math.ceil(length / 16) }, (_, i) => i + 1)
  return packToy({ id, sequences: [{ tokens, blocks }], samples: [{ tokenRow: length - 1 }] })
}
