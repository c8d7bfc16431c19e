import { describe, expect, it } from 'vitest'
import type { EngineError, EngineErrorCode } from '../lib/errors.js'
import { readModelConfig } from '../lib/models/registry.js'

/** A config as transformers 4 wrote it. */
const OLD = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 256,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: 'bfloat16',
  rope_theta: 500000,
}
/** The same without the fields that transformers 5 moved or renamed. */
const NEUTRAL = { ...OLD, torch_dtype: undefined, rope_theta: undefined }
const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4 }

function expectError(change: object, code: EngineErrorCode, message: string): void {
  const read = () => readModelConfig({ ...OLD, ...change }, 'config.json')
  const error = { name: 'EngineError', code, message: expect.stringContaining(message) as string }
  expect(read).toThrow(expect.objectContaining(error) as EngineError)
}

describe('a config.json in its normal form', () => {
  it('holds every field under one name', () => {
    expect(readModelConfig(OLD)).toEqual({
      architecture: 'LlamaForCausalLM',
      modelType: 'llama',
      vocabSize: 256,
      hiddenSize: 64,
      intermediateSize: 96,
      layers: 2,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      contextLength: 512,
      normEps: 1e-5,
      activation: 'silu',
      attentionBias: false,
      mlpBias: false,
      tiedEmbeddings: true,
      rope: { kind: 'default', theta: 500000, dim: 16 },
      storedType: 'bfloat16',
      bosTokenId: 1,
      eosTokenIds: [2],
      localRope: { kind: 'default', theta: 500000, dim: 16 },
      options: expect.anything() as unknown,
    })
  })

  it('is frozen', () => {
    expect(Object.isFrozen(readModelConfig(OLD))).toBe(true)
  })

  it('is equal for both generations of the file', () => {
    const plain = { rope_type: 'default', rope_theta: 500000 }
    const now = { ...NEUTRAL, dtype: 'bfloat16', rope_parameters: plain }
    expect(readModelConfig(now)).toEqual(readModelConfig(OLD))

    const scaled = { ...LLAMA3, original_max_position_embeddings: 64 }
    const scaledOld = { ...OLD, rope_scaling: { type: 'llama3', ...scaled } }
    const scaledNew = {
      ...now,
      rope_parameters: { rope_type: 'llama3', ...scaled, rope_theta: 5e5 },
    }
    expect(readModelConfig(scaledNew)).toEqual(readModelConfig(scaledOld))
    expect(readModelConfig(scaledOld).rope).toMatchObject({ kind: 'llama3', originalLength: 64 })
  })

  it('fills in what older files leave out, and reads null as absent', () => {
    const absent = { num_key_value_heads: undefined, torch_dtype: undefined }
    const config = readModelConfig({ ...OLD, ...absent, head_dim: null, rope_scaling: null })
    expect(config).toMatchObject({ kvHeads: 4, headDim: 16, storedType: 'float32' })
  })

  it('takes several end tokens and none', () => {
    expect(readModelConfig({ ...OLD, eos_token_id: [2, 0] }).eosTokenIds).toEqual([2, 0])
    expect(readModelConfig({ ...OLD, eos_token_id: null }).eosTokenIds).toEqual([])
  })

  it('gives the length that scaled positions reach', () => {
    const length = (rope_scaling: object) => readModelConfig({ ...OLD, rope_scaling }).contextLength
    expect(length({ type: 'linear', factor: 4 })).toBe(2048)
    expect(length({ type: 'dynamic', factor: 2 })).toBe(1024)
    expect(length({ rope_type: 'llama3', ...LLAMA3 })).toBe(512)
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 }
    expect(length(yarn)).toBe(512)
  })

  it('prefers an original length beside the rope parameters to one among them', () => {
    const rope_scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 128 }
    const { rope } = readModelConfig({ ...OLD, rope_scaling, original_max_position_embeddings: 64 })
    expect(rope).toMatchObject({ originalLength: 64 })
  })

  it("computes yarn's attention factor unless it is given", () => {
    const factor = (extra: object) => {
      const rope_scaling = { rope_type: 'yarn', factor: 40, ...extra }
      const { rope } = readModelConfig({ ...OLD, rope_scaling })
      return rope.kind === 'yarn' && rope.attentionFactor
    }
    expect(factor({ attention_factor: 1.5 })).toBe(1.5)
    expect(factor({})).toBeCloseTo(1.3688879454113936, 12)
    expect(factor({ mscale: 1, mscale_all_dim: 0.8 })).toBeCloseTo(1.0569662567531275, 12)
    expect(factor({ mscale: 1 })).toBeCloseTo(1.3688879454113936, 12)
  })
})

describe('a config.json that cannot be read', () => {
  it('names a missing field and what was expected', () => {
    const expected = 'config.json: hidden_size is missing, expected an integer from 1 to 1048576'
    expectError({ hidden_size: undefined }, 'invalid_file', expected)
  })

  it('names a field of the wrong type and what was found', () => {
    const layers = 'config.json: num_hidden_layers must be an integer from 1 to 10000, found'
    expectError({ num_hidden_layers: '2' }, 'invalid_file', `${layers} "2"`)
    expectError({ num_hidden_layers: 1e9 }, 'invalid_file', `${layers} 1000000000`)
    const columns = 'config.json: hidden_size must be an integer from 1 to 1048576, found'
    expectError({ hidden_size: 1e9, head_dim: undefined }, 'invalid_file', `${columns} 1000000000`)
    expectError({ model_type: 'my llama' }, 'invalid_file', 'model_type must be a word')
    expectError({ rms_norm_eps: -1 }, 'invalid_file', 'rms_norm_eps must be a number above 0')
    expectError({ mlp_bias: 1 }, 'invalid_file', 'mlp_bias must be true or false, found 1')
    expectError({ eos_token_id: [-1] }, 'invalid_file', 'eos_token_id must be a token id')
    expectError(
      { architectures: 'Llama' },
      'invalid_file',
      'architectures must be a list of strings',
    )
  })

  it('refuses heads that cannot be shared equally', () => {
    const message = 'num_key_value_heads must divide num_attention_heads 4, found 3'
    expectError({ num_key_value_heads: 3 }, 'invalid_file', message)
  })

  it('refuses a file that holds no object', () => {
    expect(() => readModelConfig([], 'x.json')).toThrow('x.json: expected an object')
  })

  it('lists the supported architectures', () => {
    const message = 'architecture BertModel is not supported; supported are '
    expectError({ architectures: ['BertModel'] }, 'unsupported_model', message)
    expectError({ architectures: undefined }, 'unsupported_model', 'architecture (none)')
  })

  it('names what is not supported', () => {
    expectError({ torch_dtype: 'float64' }, 'unsupported_model', 'torch_dtype "float64"')
    expectError({ hidden_act: 'mish' }, 'unsupported_model', 'hidden_act "mish"')
    expectError({ hidden_act: 'toString' }, 'unsupported_model', 'hidden_act "toString"')
    const rope = { rope_type: 'spiral' }
    expectError({ rope_scaling: rope }, 'unsupported_model', 'rope_type "spiral" is not supported')
    expectError({ rope_interleaved: true }, 'unsupported_model', 'rope_interleaved')
  })

  it('names the field of a rope', () => {
    const scaling = { rope_scaling: { type: 'linear' } }
    expectError(scaling, 'invalid_file', 'config.json: rope_scaling: factor is missing')
    for (const factor of [0.2, 0.01]) {
      const partial = { partial_rotary_factor: factor }
      expectError(partial, 'invalid_file', 'rotated columns must be even')
    }
  })
})
