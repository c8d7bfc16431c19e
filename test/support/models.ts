import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import type { EngineOptions } from '../../lib/index.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const FIXTURES = join(ROOT, 'test/fixtures')

/** Quiet, and with the exact cache that reference outputs are compared with. */
export const EXACT: EngineOptions = { kvCacheDtype: 'float32', log: false }

/** SmolLM2 as a Hugging Face folder, or null: `node scripts/smollm2.mjs` writes it. */
export const SMOLLM2 = findSmolLM2()

function findSmolLM2(): string | null {
  const folder = process.env.OCTAVO_SMOLLM2_HF ?? join(ROOT, 'models/smollm2')
  return existsSync(join(folder, 'model.safetensors')) ? folder : null
}

/** SmolLM2 as a Q4_1 GGUF file: OCTAVO_SMOLLM2_GGUF, or in models/smollm2-gguf; or null. */
export const SMOLLM2_GGUF = findSmolLM2Gguf()

function findSmolLM2Gguf(): string | null {
  const file = process.env.OCTAVO_SMOLLM2_GGUF ?? join(ROOT, 'models/smollm2-gguf/model-q4_1.gguf')
  return existsSync(file) ? file : null
}

/** A reference case of demo.json or smollm2.json. */
export interface GreedyCase {
  readonly prompt: string
  readonly promptIds: readonly number[]
  readonly greedyIds: readonly number[]
  readonly greedyText: string
  readonly smallestMargin: number
  readonly topLogprobs?: readonly (readonly [id: number, logprob: number])[][]
  readonly promptLogprobs?: readonly (number | null)[]
}

export function readFixture(file: string): unknown {
  return JSON.parse(readFileSync(join(FIXTURES, file), 'utf8'))
}

export function greedyCases(file: 'demo.json' | 'smollm2.json'): readonly GreedyCase[] {
  return (readFixture(file) as { cases: GreedyCase[] }).cases
}

/** The reference of a tiny model in test/fixtures/models, or in another folder beside it. */
export interface ModelReference {
  readonly folder: string
  readonly prompts: readonly (readonly number[])[]
  readonly greedy: readonly (readonly number[])[]
  /** Logits at every position of the last prompt, row after row. */
  readonly allLogits: Float32Array
  /** Logits after each prompt. */
  readonly nextLogits: readonly Float32Array[]
  readonly margin: number
}

export function modelReference(name: string, kind = 'models'): ModelReference {
  const json = readFixture(`${kind}/${name}/reference.json`) as {
    prompts: number[][]
    greedy: number[][]
    all_logits: string
    next_logits: string[]
    margin: number
  }
  return {
    folder: join(FIXTURES, kind, name),
    prompts: json.prompts,
    greedy: json.greedy,
    allLogits: floats(json.all_logits),
    nextLogits: json.next_logits.map(floats),
    margin: json.margin,
  }
}

/** Little-endian float32 numbers. */
export function floats(base64: string): Float32Array {
  const bytes = Buffer.from(base64, 'base64')
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
}

/** Logarithms of the softmax of a row, in float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const sum = logits.reduce((total, x) => total + Math.exp(x - max), 0)
  return Float64Array.from(logits, (x) => x - max - Math.log(sum))
}
