import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { EngineError } from '../lib/errors.js'
import { LLMEngine } from '../lib/index.js'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { textTensorName } from '../lib/models/text-part.js'
import { matchCheckpoint, readCheckpoint, type Checkpoint } from '../lib/weights/checkpoint.js'
import { EXACT, FIXTURES } from './support/models.js'

const folderOf = (name: string) => join(FIXTURES, 'models', name)
const configOf = (name: string) =>
  JSON.parse(readFileSync(join(folderOf(name), 'config.json'), 'utf8')) as Record<string, unknown>

const planOf = (name: string, change: object = {}) =>
  buildPlan(readModelConfig({ ...configOf(name), ...change }), {
    weightType: 'bfloat16',
    cacheType: 'float32',
  })

/** A checkpoint whose tensors have other names, and some tensors more. */
function renamed(
  { tensors, ...checkpoint }: Checkpoint,
  rename: (name: string) => string,
  more: readonly string[],
): Checkpoint {
  const [any] = tensors.values()
  const all = [...tensors.values()].map((tensor) => ({ ...tensor, name: rename(tensor.name) }))
  all.push(...more.map((name) => ({ ...any!, name })))
  return { ...checkpoint, tensors: new Map(all.map((tensor) => [tensor.name, tensor])) }
}

describe('a checkpoint', () => {
  it('may lack the first module in its names, and have masks among its tensors', async () => {
    const checkpoint = await readCheckpoint(folderOf('gpt2'))
    const masks = ['h.0.attn.bias', 'h.1.attn.masked_bias']
    const bare = renamed(checkpoint, (name) => name.replace('transformer.', ''), masks)
    const plan = planOf('gpt2')
    expect(matchCheckpoint(plan, bare)).toEqual(matchCheckpoint(plan, checkpoint))
  })

  it('may not have tensors that no part of the model wants', async () => {
    const more = renamed(await readCheckpoint(folderOf('gpt2')), (name) => name, ['h.0.attn.gain'])
    expect(() => matchCheckpoint(planOf('gpt2'), more)).toThrow('tensor h.0.attn.gain')
  })
})

describe('a config.json', () => {
  it('may count its experts by a newer name', () => {
    for (const name of ['qwen2-moe', 'qwen3-moe']) {
      const { num_experts: count, num_local_experts: local = count } = configOf(name)
      const newer = { num_experts: undefined, num_local_experts: local }
      const older = { num_experts: local, num_local_experts: undefined }
      expect(planOf(name, newer)).toEqual(planOf(name, older))
    }
  })

  it('of layers with ropes of their own gives the whole length', () => {
    expect(readModelConfig(configOf('gemma3-scaled')).contextLength).toBe(256)
  })

  it('of Gemma 3 caps no scores, whatever it says', () => {
    expect(planOf('gemma3', { attn_logit_softcapping: 50 })).toEqual(planOf('gemma3'))
  })
})

describe('a model that sees pictures too', () => {
  const text = configOf('gemma3')
  const whole = {
    ...{ architectures: ['Gemma3ForConditionalGeneration'], model_type: 'gemma3' },
    ...{ text_config: { ...text, architectures: undefined }, eos_token_id: [1, 106] },
  }

  it('is loaded as its text part', () => {
    const types = { weightType: 'bfloat16', cacheType: 'float32' } as const
    const config = readModelConfig(whole)
    expect(buildPlan(config, types)).toEqual(planOf('gemma3'))
    expect(config.eosTokenIds).toEqual([2])
    const bare = readModelConfig({
      ...whole,
      text_config: { ...text, eos_token_id: null, num_attention_heads: undefined },
    })
    expect(bare).toMatchObject({ eosTokenIds: [1, 106], heads: 8 })
  })

  it.each([
    ['language_model.model.norm.weight', 'model.norm.weight'],
    ['language_model.lm_head.weight', 'lm_head.weight'],
    ['model.language_model.norm.weight', 'model.norm.weight'],
    ['lm_head.weight', 'lm_head.weight'],
    ['model.vision_tower.norm.weight', null],
    ['multi_modal_projector.norm.weight', null],
  ])('calls its tensor %s %s', (stored, name) => {
    expect(textTensorName(whole, stored)).toBe(name)
  })
})

it('layers that guess further tokens are left out', () => {
  const config = { ...configOf('deepseek-v3'), num_hidden_layers: 3, num_nextn_predict_layers: 1 }
  expect(textTensorName(config, 'model.layers.2.input_layernorm.weight')).not.toBeNull()
  expect(textTensorName(config, 'model.layers.3.eh_proj.weight')).toBeNull()
})

it('MPT may learn its positions, and normalise q and k', () => {
  const { ops, weights } = planOf('mpt', { attn_config: { alibi: false, qk_ln: true } })
  expect(ops.find(({ kind }) => kind === 'pagedAttention')).not.toHaveProperty('slopes.0')
  expect(weights.map(({ sources: [source] }) => source!.name)).toEqual(
    expect.arrayContaining([
      ...['transformer.wpe.weight', 'transformer.blocks.0.attn.q_ln.weight'],
      'transformer.blocks.1.attn.k_ln.weight',
    ]),
  )
})

describe('what a family does not support', () => {
  const longrope = { rope_type: 'longrope', short_factor: [1], long_factor: [1, 1, 1, 1] }
  it.each<readonly [string, object, string]>([
    ['gpt2', { add_cross_attention: true }, 'add_cross_attention true is not supported'],
    ['mpt', { no_bias: false }, 'no_bias false is not supported; supported is true'],
    [
      'mpt',
      { attn_config: { qk_ln: true, clip_qkv: 6 } },
      'attn_config: qk_ln true is not supported',
    ],
    [
      'granite-hybrid',
      { layer_types: ['mamba', 'attention'] },
      'layer_types "mamba" is not supported; supported are attention, full_attention',
    ],
    [
      'mistral-window',
      { layer_types: ['sliding_attention', 'linear_attention'] },
      'layer_types "linear_attention" is not supported',
    ],
    [
      'qwen3',
      { layer_types: ['full_attention'] },
      'layer_types must have num_hidden_layers 2 entries, found 1',
    ],
    ['phi3', { rope_scaling: longrope }, 'short_factor must be 8 numbers above 0, found 1'],
    ['olmo', { hidden_act: 'mish' }, 'hidden_act "mish" is not supported'],
    ['bloom', { n_head: 0 }, 'config.json: n_head must be an integer from 1 to 65536, found 0'],
    ['gpt2', { n_positions: null }, 'config.json: n_positions is missing'],
    [
      'gemma3',
      { use_bidirectional_attention: true },
      'use_bidirectional_attention true is not supported; supported is false',
    ],
  ])('%s %j', (name, change, message) => {
    expect(() => planOf(name, change)).toThrow(EngineError)
    expect(() => planOf(name, change)).toThrow(message)
  })

  it('is a sequence longer than the positions that were learned', async () => {
    const options = { ...EXACT, skipTokenizerInit: true, maxModelLen: 600 }
    await expect(LLMEngine.load(folderOf('opt'), options)).rejects.toThrow(
      'maxModelLen: expected at most 512, the positions that the model has learned, found 600',
    )
  })
})
