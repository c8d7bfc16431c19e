import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attempt, succeed } from './support/commands.js'
import { ggufFile, type GgufTensor } from './support/gguf.js'

// A Llama of one layer, 32 wide, whose heads are cut to 4 rows: one for keys, two for queries.
const metadata = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 64,
  'llama.embedding_length': 32,
  'llama.feed_forward_length': 96,
  'llama.attention.head_count': 2,
  'llama.attention.head_count_kv': 1,
  'llama.rope.freq_base': 10000,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
  'llama.vocab_size': 4,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.pre': 'smollm',
  'tokenizer.ggml.tokens': ['<s>', 'a', 'b', 'ab'],
  'tokenizer.ggml.token_type': [3, 1, 1, 1],
  'tokenizer.ggml.merges': ['a b'],
  'tokenizer.ggml.bos_token_id': 0,
  'tokenizer.ggml.eos_token_id': 0,
  'tokenizer.ggml.unknown_token_id': 0,
  'tokenizer.ggml.padding_token_id': 0,
  'tokenizer.chat_template': '{{ messages }}',
}
const [F32, Q4_1, Q8_0] = [0, 3, 8]
const [ONE, HALF, MINUS_TWO] = [0x3c00, 0x3800, 0xc000] // as float16

/** One value for each row of 32. */
function rows(...values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values.flatMap((x) => Array<number>(32).fill(x))).buffer)
}

function block(halves: readonly number[], bytes: readonly number[]): Uint8Array {
  return Uint8Array.from([...halves.flatMap((half) => [half & 255, half >> 8]), ...bytes])
}

const tensors: GgufTensor[] = [
  { name: 'token_embd.weight', shape: [4, 32], type: F32, data: rows(1, 2, 3, 4) },
  { name: 'output_norm.weight', shape: [32], type: F32, data: rows(1 + 2 ** -8) },
  {
    name: 'blk.0.attn_q.weight',
    shape: [8, 32],
    type: F32,
    data: rows(0, 1, 2, 3, 10, 11, 12, 13),
  },
  { name: 'blk.0.attn_k.weight', shape: [4, 32], type: F32, data: rows(0, 1, 2, 3) },
  { name: 'blk.0.attn_v.weight', shape: [4, 32], type: F32, data: rows(0, 1, 2, 3) },
  {
    name: 'blk.0.ffn_up.weight',
    shape: [1, 32],
    type: Q4_1,
    // Scale 1/2, minimum −2; byte i holds value i below value 15 − i.
    data: block(
      [HALF, MINUS_TWO],
      Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4)),
    ),
  },
  {
    name: 'blk.0.ffn_down.weight',
    shape: [1, 32],
    type: Q8_0,
    data: block(
      [ONE],
      Array.from({ length: 32 }, (_, i) => (i - 16) & 255),
    ),
  },
]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-smollm2-test-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function runScript(source: string, out: string) {
  const env = { ...process.env, OCTAVO_SMOLLM2: join(folder, source) }
  return attempt(process.execPath, ['scripts/smollm2.mjs', join(folder, out)], { env })
}

describe('a folder written from a GGUF file', () => {
  beforeAll(() => {
    writeFileSync(join(folder, 'tiny.gguf'), ggufFile(metadata, tensors))
    expect(runScript('tiny.gguf', 'out')).toMatchObject({ status: 0, stderr: '' })
  })

  test('has the hyperparameters in config.json', () => {
    expect(readJson('out/config.json')).toMatchObject({
      architectures: ['LlamaForCausalLM'],
      head_dim: 16,
      hidden_size: 32,
      intermediate_size: 96,
      max_position_embeddings: 64,
      num_attention_heads: 2,
      num_hidden_layers: 1,
      num_key_value_heads: 1,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      vocab_size: 4,
      eos_token_id: 0,
    })
  })

  test('has the vocabulary, the merges, the special tokens and the chat template', () => {
    expect(readJson('out/tokenizer.json')).toMatchObject({
      added_tokens: [{ id: 0, content: '<s>', special: true }],
      model: { type: 'BPE', vocab: { '<s>': 0, a: 1, b: 2, ab: 3 }, merges: [['a', 'b']] },
    })
    expect(readJson('out/tokenizer_config.json')).toMatchObject({ eos_token: '<s>' })
    expect(readFileSync(join(folder, 'out/chat_template.jinja'), 'utf8')).toBe('{{ messages }}')
  })

  test('has plain tensors under their Hugging Face names, rounded to even', () => {
    expect(firstOfRows('model.embed_tokens.weight')).toEqual([1, 2, 3, 4])
    expect(firstOfRows('model.norm.weight')).toEqual([1]) // 1 + 2⁻⁸ lies halfway to 1 + 2⁻⁷
    expect(firstOfRows('model.layers.0.self_attn.v_proj.weight')).toEqual([0, 1, 2, 3])
  })

  test('pairs the rows of queries and keys by halves of a head', () => {
    expect(firstOfRows('model.layers.0.self_attn.q_proj.weight')).toEqual([
      0, 2, 1, 3, 10, 12, 11, 13,
    ])
    expect(firstOfRows('model.layers.0.self_attn.k_proj.weight')).toEqual([0, 2, 1, 3])
  })

  test('has what Q4_1 and Q8_0 blocks stand for', () => {
    const rising = Array.from({ length: 16 }, (_, i) => i / 2 - 2)
    expect(values('model.layers.0.mlp.up_proj.weight')).toEqual([
      ...rising,
      ...[...rising].reverse(),
    ])
    const signed = Array.from({ length: 32 }, (_, i) => i - 16)
    expect(values('model.layers.0.mlp.down_proj.weight')).toEqual(signed)
  })

  test('is left alone by a second run', () => {
    const { stdout } = runScript('tiny.gguf', 'out')
    expect(stdout).toContain('is there already')
  })
})

test('a folder of Hugging Face files is copied', () => {
  const env = { ...process.env, OCTAVO_SMOLLM2: 'models/demo' }
  succeed(process.execPath, ['scripts/smollm2.mjs', join(folder, 'copy')], { env })
  for (const name of ['model.safetensors', 'config.json', 'tokenizer.json']) {
    const copy = readFileSync(join(folder, 'copy', name))
    expect(copy.equals(readFileSync(join('models/demo', name)))).toBe(true)
  }
})

test.each([
  [
    'a tensor type that it cannot read',
    ggufFile(metadata, [{ ...tensors[0]!, type: 12 }]),
    'type 12',
  ],
  ['a file of another kind', Buffer.from('PK\x03\x04 not a model'), 'is not a GGUF file'],
  ['a file that was cut', ggufFile(metadata, tensors).subarray(0, -64), 'too early'],
])('%s ends with a message and no model', (_case, bytes, message) => {
  writeFileSync(join(folder, 'bad.gguf'), bytes)
  const { status, stderr } = runScript('bad.gguf', 'bad')
  expect(status).toBe(1)
  expect(stderr).toContain(message)
  expect(() => readFileSync(join(folder, 'bad/model.safetensors'))).toThrow('ENOENT')
})

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(join(folder, path), 'utf8'))
}

type Header = Readonly<
  Record<
    string,
    {
      readonly dtype: string
      readonly shape: readonly number[]
      readonly data_offsets: readonly [number, number]
    }
  >
>

function values(name: string): number[] {
  const file = readFileSync(join(folder, 'out/model.safetensors'))
  const start = 8 + Number(file.readBigUInt64LE(0))
  const { dtype, data_offsets } = (JSON.parse(file.toString('utf8', 8, start)) as Header)[name]!
  expect(dtype).toBe('BF16')
  const stored = file.subarray(start + data_offsets[0], start + data_offsets[1])
  const words = Array.from({ length: stored.length / 2 }, (_, i) => stored.readUInt16LE(2 * i))
  return [...new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer)]
}

function firstOfRows(name: string): number[] {
  return values(name).filter((_, i) => i % 32 === 0)
}
