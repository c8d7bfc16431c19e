import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { LLMEngine } from '../../lib/index.js'
import { readGguf } from '../../lib/weights/gguf.js'
import { ggufCheckpoint } from '../../lib/weights/gguf-model.js'
import type { StoredTensor } from '../../lib/weights/safetensors.js'
import { root } from '../support/commands.js'
import { temporaryFolder, writeSafetensors, type TensorToWrite } from '../support/files.js'
import { EXACT, greedyCases, SMOLLM2, SMOLLM2_GGUF } from '../support/models.js'

const GROUP = 32
const CACHE_BYTES = 2 ** 26

describe.skipIf(SMOLLM2 === null || SMOLLM2_GGUF === null)('SmolLM2 in Q4_1', () => {
  test('has the greedy tokens of safetensors with the same codes', async () => {
    const folder = temporaryFolder()
    await writeSameCodes(SMOLLM2_GGUF!, folder)
    expect(await greedyTokens(SMOLLM2_GGUF!)).toEqual(await greedyTokens(folder))
  })

  test('takes less than 1.5 times its file, and the cache, beyond a tokenizer', () => {
    const tokenizer = residentBytes(
      `const { loadText } = await import('./dist/text/load-text.js')
       const { locateModel } = await import('./dist/weights/model-folder.js')
       const kept = await loadText(await locateModel(path))`,
    )
    const engine = residentBytes(
      `const { LLMEngine } = await import('./dist/index.js')
       const kept = await LLMEngine.load(path, { kvCacheMemoryBytes: ${CACHE_BYTES}, log: false })
       await kept.generate('The capital of France is', { maxTokens: 32, temperature: 0 })`,
    )
    const file = statSync(SMOLLM2_GGUF!).size
    expect(engine - tokenizer).toBeGreaterThan(0.9 * file) // Else the weights are not what was measured.
    expect(engine - tokenizer).toBeLessThan(1.5 * file + CACHE_BYTES)
  })
})

/** Resident bytes of a process in which this program has run on the file `path`. */
function residentBytes(program: string): number {
  const measure = `const path = ${JSON.stringify(SMOLLM2_GGUF)}
    ${program}
    globalThis.gc()
    process.stdout.write(String(process.memoryUsage.rss()))
    process.exit()`
  const options = ['--expose-gc', '--input-type=module', '--eval', measure]
  return Number(execFileSync(process.execPath, options, { cwd: root, encoding: 'utf8' }))
}

async function greedyTokens(model: string) {
  const engine = await LLMEngine.load(model, {
    ...EXACT,
    skipTokenizerInit: true,
    maxModelLen: 2048,
  })
  const outputs = await engine.generate(
    greedyCases('smollm2.json').map(({ promptIds }) => ({ promptTokenIds: [...promptIds] })),
    { maxTokens: 48, temperature: 0 },
  )
  await engine.close()
  return outputs.map(({ outputs: [output] }) => output!.tokenIds)
}

/**
 * Writes a GGUF file's codes as torchao's tensors, which number = scale × code + zero says, as Q4_1 does.
 * The zero of codes from −8 on is rounded to float32, as nothing else is.
 */
async function writeSameCodes(path: string, folder: string): Promise<void> {
  const gguf = await readGguf(path)
  const bytes = readFileSync(path)
  const tensors: Record<string, TensorToWrite> = {}
  const metadata: Record<string, string> = {}
  for (const tensor of ggufCheckpoint(gguf).tensors.values()) {
    const { name, dtype, shape, offset, length } = tensor
    if (dtype === 'F32') {
      tensors[name] = { dtype, shape, bytes: bytes.subarray(offset, offset + length) }
      continue
    }
    const parts = dtype === 'Q4_1' ? int4Parts(tensor, bytes) : int8Parts(tensor, bytes)
    for (const [part, value] of Object.entries(parts.tensors))
      tensors[name.replace(/\.weight$/, `._weight_${part}`)] = value
    const data = { block_size: [1, GROUP] }
    metadata[name] = JSON.stringify({ _type: parts.type, _data: data })
  }
  writeSafetensors(join(folder, 'model.safetensors'), tensors, metadata)
  const config = JSON.parse(readFileSync(join(SMOLLM2!, 'config.json'), 'utf8')) as object
  const quantised = { ...config, quantization_config: { quant_method: 'torchao' } }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(quantised))
  copyFileSync(join(SMOLLM2!, 'tokenizer.json'), join(folder, 'tokenizer.json'))
}

interface Parts {
  readonly type: string
  readonly tensors: Readonly<Record<string, TensorToWrite>>
}

/** Blocks of a scale, a minimum, and 16 bytes that hold numbers i and i + 16. */
function int4Parts(tensor: StoredTensor, bytes: Buffer): Parts {
  const [rows, columns] = sizesOf(tensor)
  const groups = columns / GROUP
  const codes = new Uint8Array((rows * columns) / 2)
  const scales = new Float32Array(groups * rows)
  const zeros = new Float32Array(groups * rows)
  forEachRow(tensor, (row, from) => {
    for (let group = 0; group < groups; group++) {
      const block = from + group * 20
      const at = group * rows + row
      scales[at] = half(bytes, block)
      zeros[at] = half(bytes, block + 2) + 8 * scales[at]
      for (let i = 0; i < GROUP; i++) {
        const two = bytes[block + 4 + (i % 16)]!
        const code = ((i < 16 ? two & 15 : two >> 4) - 8) & 15
        codes[(row * columns + group * GROUP + i) >> 1]! |= code << (4 * (i % 2))
      }
    }
  })
  return {
    type: 'Int4Tensor',
    tensors: {
      qdata: { dtype: 'U8', shape: [rows, columns / 2], bytes: codes },
      scale: { dtype: 'F32', shape: [groups, rows], bytes: new Uint8Array(scales.buffer) },
      zero_point: { dtype: 'F32', shape: [groups, rows], bytes: new Uint8Array(zeros.buffer) },
    },
  }
}

/** Blocks of a scale and 32 signed bytes. */
function int8Parts(tensor: StoredTensor, bytes: Buffer): Parts {
  const [rows, columns] = sizesOf(tensor)
  const groups = columns / GROUP
  const codes = new Uint8Array(rows * columns)
  const scales = new Float32Array(rows * groups)
  forEachRow(tensor, (row, from) => {
    for (let group = 0; group < groups; group++) {
      const block = from + group * 34
      scales[row * groups + group] = half(bytes, block)
      codes.set(bytes.subarray(block + 2, block + 34), row * columns + group * GROUP)
    }
  })
  return {
    type: 'Int8Tensor',
    tensors: {
      qdata: { dtype: 'I8', shape: [rows, columns], bytes: codes },
      scale: { dtype: 'F32', shape: [rows, groups], bytes: new Uint8Array(scales.buffer) },
    },
  }
}

function sizesOf({ shape }: StoredTensor): readonly [rows: number, columns: number] {
  return [shape[0]!, shape[1]!]
}

/** Calls with each row and where its blocks begin; rows that stand in pairs come in a checkpoint's order. */
function forEachRow(tensor: StoredTensor, use: (row: number, from: number) => void): void {
  const { shape, offset, length, pairedHeads = 0 } = tensor
  const rows = shape[0]!
  const head = pairedHeads === 0 ? rows : rows / pairedHeads
  for (let row = 0; row < rows; row++) {
    const i = row % head
    const inPairs = i < head / 2 ? 2 * i : 2 * (i - head / 2) + 1
    const stored = pairedHeads === 0 ? row : row - i + inPairs
    use(row, offset + (stored * length) / rows)
  }
}

function half(bytes: Buffer, at: number): number {
  const bits = bytes.readUInt16LE(at)
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25)
  return bits >> 15 === 1 ? -magnitude : magnitude
}
