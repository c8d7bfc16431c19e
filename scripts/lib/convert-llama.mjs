import { closeSync, openSync, writeSync } from 'node:fs'
import { dequantise, storedBytes, toBfloat16 } from './dequantise.mjs'

const layerParts = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}
const otherNames = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'output_norm.weight': 'model.norm.weight',
  'output.weight': 'lm_head.weight',
}

/** Writes the tensors of a Llama GGUF as one safetensors file in bfloat16, a tensor at a time. */
export function writeSafetensors(gguf, path) {
  const file = openSync(path, 'w')
  const header = safetensorsHeader(gguf.tensors)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  writeSync(file, length)
  writeSync(file, header)
  for (const tensor of gguf.tensors) {
    const values = toBfloat16(readTensor(gguf, tensor))
    writeSync(file, new Uint8Array(values.buffer))
  }
  closeSync(file)
}

function safetensorsHeader(tensors) {
  const header = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { name, shape } of tensors) {
    const begin = end
    end += 2 * elements(shape)
    header[huggingFaceName(name)] = { dtype: 'BF16', shape, data_offsets: [begin, end] }
  }
  const json = JSON.stringify(header)
  return Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8))
}

function huggingFaceName(name) {
  const [, layer, part] = /^blk\.(\d+)\.(\w+)\.weight$/.exec(name) ?? []
  if (layerParts[part]) return `model.layers.${layer}.${layerParts[part]}.weight`
  if (otherNames[name]) return otherNames[name]
  throw new Error(`no place for the tensor ${name} in a Llama model`)
}

function readTensor(gguf, tensor) {
  const count = elements(tensor.shape)
  const stored = gguf.bytes(tensor, storedBytes(tensor.type, count))
  const values = dequantise(tensor.type, stored, count)
  if (tensor.name.includes('.attn_q.')) {
    return toHalfPairs(values, tensor.shape, gguf.metadata['llama.attention.head_count'])
  }
  if (tensor.name.includes('.attn_k.')) {
    return toHalfPairs(values, tensor.shape, gguf.metadata['llama.attention.head_count_kv'])
  }
  return values
}

/** Rotation pairs rows 2i and 2i + 1 of a head in GGUF, and rows i and i + headDim / 2 at Hugging Face. */
function toHalfPairs(values, [rows, columns], heads) {
  const headDim = rows / heads
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim
    const target = row - inHead + (inHead % 2) * (headDim / 2) + (inHead >> 1)
    out.set(values.subarray(row * columns, (row + 1) * columns), target * columns)
  }
  return out
}

function elements(shape) {
  return shape.reduce((product, size) => product * size, 1)
}
