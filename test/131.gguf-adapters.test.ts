import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { findAdapter } from '../lib/weights/locate-adapter.js'
import { temporaryFolder } from './support/files.js'
import { ggufFile, type GgufTensor, type MetadataValue } from './support/gguf.js'
import { GREEDY, load, NAMES, reference } from './support/lora-engine.js'
import { normalNumbers } from './support/made-numbers.js'
import { EXACT, FIXTURES } from './support/models.js'

const F32 = 0
const METADATA = {
  ...{ 'general.architecture': 'llama', 'general.type': 'adapter', 'adapter.type': 'lora' },
  'adapter.lora.alpha': 16,
}
/** llama.cpp's names of a Llama's modules. */
const MATRICES: Readonly<Record<string, string>> = {
  ...{ q_proj: 'attn_q', k_proj: 'attn_k', v_proj: 'attn_v', o_proj: 'attn_output' },
  ...{ gate_proj: 'ffn_gate', up_proj: 'ffn_up', down_proj: 'ffn_down' },
}
const HEADS: Readonly<Record<string, number>> = { q_proj: 4, k_proj: 2 }

interface Matrix {
  readonly name: string
  readonly shape: readonly [number, number]
  readonly numbers: Float32Array
}

/** An adapter's matrices, under PEFT's names, as llama.cpp converts them. */
function converted(matrices: readonly Matrix[]): GgufTensor[] {
  return matrices.map(({ name, shape, numbers }) => {
    const [, layer, module = '', which = ''] =
      /layers\.(\d+)\.\w+\.(\w+)\.lora_([AB])\.weight$/.exec(name) ?? []
    const heads = which === 'B' ? (HEADS[module] ?? 0) : 0
    const rows = heads > 0 ? inPairs(numbers, shape, heads) : numbers
    return {
      name: `blk.${layer}.${MATRICES[module]}.weight.lora_${which.toLowerCase()}`,
      ...{ shape, type: F32, data: new Uint8Array(rows.buffer) },
    }
  })
}

/** Rows i and i + n/2 of each head of n rows side by side. */
function inPairs(numbers: Float32Array, [rows, columns]: Matrix['shape'], heads: number) {
  const size = rows / heads
  const paired = new Float32Array(numbers.length)
  for (let row = 0; row < rows; row++) {
    const [head, i] = [Math.floor(row / size), row % size]
    const to = head * size + (i < size / 2 ? 2 * i : 2 * (i - size / 2) + 1)
    paired.set(numbers.subarray(row * columns, (row + 1) * columns), to * columns)
  }
  return paired
}

function readMatrices(folder: string): Matrix[] {
  const bytes = readFileSync(join(folder, 'adapter_model.safetensors'))
  const start = 8 + Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { readonly shape: readonly [number, number]; readonly data_offsets: readonly [number, number] }
  >
  delete header.__metadata__
  return Object.entries(header).map(
    ([
      name,
      {
        shape,
        data_offsets: [from, to],
      },
    ]) => {
      const data = Uint8Array.from(bytes.subarray(start + from, start + to))
      return { name, shape, numbers: new Float32Array(data.buffer) }
    },
  )
}

function write(
  tensors: readonly GgufTensor[],
  metadata: Readonly<Record<string, MetadataValue>> = METADATA,
) {
  const path = join(temporaryFolder(), 'adapter.gguf')
  writeFileSync(path, ggufFile(metadata, tensors))
  return path
}

describe('an adapter in GGUF', () => {
  it.each(NAMES)('gives what peft gives: %s', async (name) => {
    const folder = join(FIXTURES, 'lora', name)
    const { modules } = await findAdapter(folder)
    const { scale, rank } = [...modules.values()][0]!
    const alpha = { 'adapter.lora.alpha': scale * rank }
    const loraPath = write(converted(readMatrices(folder)), { ...METADATA, ...alpha })
    await using engine = await load()
    const loraRequest = { loraName: 'gguf', loraPath }
    const outputs = await engine.generate(
      reference.prompts.map((promptTokenIds) => ({ promptTokenIds, loraRequest })),
      GREEDY,
    )
    expect(outputs.map(({ outputs: [output] }) => output!.tokenIds)).toEqual(
      reference[name]!.greedy,
    )
  })

  it('and one of PEFT are the same beside a base in GGUF and one in safetensors', async () => {
    const sizes = { q_proj: [64, 64], k_proj: [64, 32], gate_proj: [64, 96], down_proj: [96, 64] }
    const matrices = Object.entries(sizes).flatMap(([module, [input, output]], i): Matrix[] => {
      const place = module.length > 6 ? 'mlp' : 'self_attn'
      const name = `base_model.model.model.layers.1.${place}.${module}`
      const make = (which: string, shape: Matrix['shape'], seed: number) => {
        const numbers = normalNumbers(shape[0] * shape[1], { seed, deviation: 0.3 })
        return { name: `${name}.lora_${which}.weight`, shape, numbers }
      }
      return [make('A', [4, input!], 2 * i + 1), make('B', [output!, 4], 2 * i + 2)]
    })
    const loraRequest = { loraName: 'made', loraPath: write(converted(matrices)) }
    const outputs = []
    for (const model of ['models/llama', 'gguf/llama-BF16.gguf']) {
      const options = { ...EXACT, skipTokenizerInit: true, enableLora: true }
      await using engine = await LLMEngine.load(join(FIXTURES, model), options)
      const prompt = { promptTokenIds: [1, 5, 9, 17] }
      const [plain, adapted] = await engine.generate([prompt, { ...prompt, loraRequest }], GREEDY)
      expect(adapted!.outputs[0]!.tokenIds).not.toEqual(plain!.outputs[0]!.tokenIds)
      outputs.push(adapted!.outputs[0]!.tokenIds)
    }
    expect(outputs[1]).toEqual(outputs[0])
  })

  it('without alpha is not scaled', async () => {
    const { 'adapter.lora.alpha': _, ...metadata } = METADATA
    const tensors = converted(readMatrices(join(FIXTURES, 'lora/qv-r4')))
    const { modules, rank } = await findAdapter(write(tensors, metadata))
    expect(rank).toBe(4)
    expect([...modules.values()].map(({ scale }) => scale)).toEqual(Array(modules.size).fill(1))
  })

  const [a, b] = converted(readMatrices(join(FIXTURES, 'lora/qv-r4'))) as [GgufTensor, GgufTensor]
  it.each<[Record<string, MetadataValue>, GgufTensor[], string, string]>([
    [
      { 'general.type': 'model' },
      [a, b],
      'not_supported',
      'expected general.type adapter and adapter.type lora',
    ],
    [{ 'adapter.type': 'control' }, [a, b], 'not_supported', 'found ["adapter","control"]'],
    [
      { 'adapter.alora.invocation_tokens': [1] },
      [a, b],
      'not_supported',
      'adapter.alora.invocation_tokens',
    ],
    [{ 'general.architecture': 'bird' }, [a, b], 'unsupported_model', 'architecture bird'],
    [{}, [], 'not_supported', 'found no tensors'],
    [{}, [a], 'invalid_file', 'is there without lora_'],
    [
      {},
      [a, b, { ...a, name: 'output_norm.weight' }],
      'not_supported',
      'tensor output_norm.weight: only',
    ],
    [
      {},
      [a, { ...b, shape: [b.shape[0]! * 2, b.shape[1]! / 2] }],
      'invalid_file',
      'by the rank in lora_a',
    ],
  ])('is refused: %#', async (metadata, tensors, code, message) => {
    const found = findAdapter(write(tensors, { ...METADATA, ...metadata }))
    await expect(found).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    })
  })
})
