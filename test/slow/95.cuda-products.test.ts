import { emulatedLibrary, whyNotEmulated } from '../support/emulated.js'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../../lib/index.js'
import { temporaryFolder } from '../support/files.js'
import { EXACT, modelReference } from '../support/models.js'

const { folder, prompts, greedy } = modelReference('llama')

// A prompt of more rows than our own kernels take by themselves, and short ones.
const long = Array.from({ length: 100 }, (_, i) => 3 + ((i * 37) % 250))
const requests = [long, ...prompts].map((promptTokenIds) => ({ promptTokenIds }))

function load(options: EngineOptions = {}, model = folder): Promise<LLMEngine> {
  return LLMEngine.load(model, {
    ...EXACT,
    device: 'cuda',
    dtype: 'float32',
    skipTokenizerInit: true,
    maxNumSeqs: 8,
    maxNumBatchedTokens: 256,
    numGpuBlocksOverride: 96,
    ...options,
  })
}

async function generate(engine: LLMEngine, given = requests): Promise<RequestOutput[]> {
  const params = { maxTokens: 8, temperature: 0, logprobs: 3, ignoreEos: true }
  const outputs = await engine.generate(given, params)
  engine.checkIntegrity()
  return outputs
}

describe.skipIf(whyNotEmulated)('products by cuBLASLt', () => {
  let engine: LLMEngine | undefined
  afterEach(async () => {
    await engine?.close()
    engine = undefined
    delete process.env.OCTAVO_CUBLASLT
    delete process.env.OCTAVO_FAKE_CUBLASLT
  })

  it.each(['float32', 'bfloat16', 'float16'] as const)(
    'go well with the rest: %s',
    async (dtype) => {
      process.env.OCTAVO_CUBLASLT = emulatedLibrary('fake_cublas_lt')
      engine = await load({ dtype, kvCacheDtype: dtype })
      expect(engine.device).toContain('cuBLASLt 13.1.2')
      const outputs = await generate(engine)
      if (dtype !== 'float32') return
      outputs.slice(1).forEach(({ outputs: [completion] }, i) => {
        expect(completion!.tokenIds).toEqual(greedy[i]!.slice(0, 8))
      })
    },
  )

  it('add biases', async () => {
    process.env.OCTAVO_CUBLASLT = emulatedLibrary('fake_cublas_lt')
    const biased = modelReference('qwen2')
    const given = [long, ...biased.prompts].map((promptTokenIds) => ({ promptTokenIds }))
    engine = await load({ enablePrefixCaching: false }, biased.folder)
    const outputs = await generate(engine, given)
    outputs.slice(1).forEach(({ outputs: [completion] }, i) => {
      expect(completion!.tokenIds).toEqual(biased.greedy[i]!.slice(0, 8))
    })
    process.env.OCTAVO_FAKE_CUBLASLT = 'fail bias'
    await expect(generate(engine, given)).rejects.toThrow(/linear ".*self_attn.*": cublasLtMatmul/)
  })

  it('name the op where they fail', async () => {
    process.env.OCTAVO_CUBLASLT = emulatedLibrary('fake_cublas_lt')
    process.env.OCTAVO_FAKE_CUBLASLT = 'fail'
    engine = await load()
    await expect(generate(engine)).rejects.toThrow(/linear ".*": cublasLtMatmul: cuBLAS status 14/)
  })

  it('are not wanted with batchInvariant', async () => {
    process.env.OCTAVO_CUBLASLT = emulatedLibrary('fake_cublas_lt')
    engine = await load({ batchInvariant: true })
    expect(engine.device).not.toContain('cuBLASLt')
  })

  it('refuse a file that is no such library', async () => {
    process.env.OCTAVO_CUBLASLT = 'package.json'
    await expect(load()).rejects.toThrow("OCTAVO_CUBLASLT: 'package.json' is no cuBLASLt library")
  })
})

describe.skipIf(whyNotEmulated)('batchInvariant on a GPU', () => {
  /** What a request gave, to the last bit of its log-probabilities. */
  const bitsOf = ({ outputs: [completion] }: RequestOutput) =>
    JSON.stringify([completion!.tokenIds, completion!.logprobs!.map((of) => [...of])])

  it.each([
    { name: 'llama', types: { dtype: 'float32' } },
    { name: 'llama', types: { dtype: 'bfloat16', kvCacheDtype: 'bfloat16' } },
    { name: 'demo', types: { dtype: 'bfloat16', kvCacheDtype: 'bfloat16' } },
    { name: 'mistral-window', types: { dtype: 'float16', kvCacheDtype: 'float16' } },
    { name: 'deepseek-v3', types: { dtype: 'float32' } },
    { name: 'deepseek-v3', types: { dtype: 'bfloat16', kvCacheDtype: 'bfloat16' } },
  ] as const)('$name gives the same bits alone, together and in chunks: $types', async (given) => {
    const model = given.name === 'demo' ? 'demo' : modelReference(given.name).folder
    const options = {
      ...EXACT,
      device: 'cuda',
      batchInvariant: true,
      skipTokenizerInit: true,
      maxNumSeqs: 8,
      numGpuBlocksOverride: 96,
      enablePrefixCaching: false,
      ...given.types,
    } as const
    const runs: string[][] = []
    for (const maxNumBatchedTokens of [256, 19]) {
      const engine = await LLMEngine.load(model, { ...options, maxNumBatchedTokens })
      runs.push((await generate(engine)).map(bitsOf))
      if (maxNumBatchedTokens === 256) {
        const alone: string[] = []
        for (const request of requests)
          alone.push(...(await generate(engine, [request])).map(bitsOf))
        runs.push(alone)
      }
      await engine.close()
    }
    expect(runs[1]).toEqual(runs[0])
    expect(runs[2]).toEqual(runs[0])
  })

  interface Dummy {
    readonly window?: number
    /** Attention over latent rows. */
    readonly latent?: boolean
  }

  /** A dummy of one layer whose attention goes through tensor cores where the type has 16 bits. */
  function writeModel(context: number, { window, latent }: Dummy): string {
    const folder = temporaryFolder()
    const heads = latent
      ? {
          ...{ architectures: ['DeepseekV2ForCausalLM'], model_type: 'deepseek_v2' },
          ...{ num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 512 },
          ...{ qk_rope_head_dim: 64, qk_nope_head_dim: 16, v_head_dim: 16, q_lora_rank: null },
          ...{ first_k_dense_replace: 1, n_routed_experts: 2, num_experts_per_tok: 1 },
          ...{ moe_intermediate_size: 16, n_shared_experts: 1, n_group: 1, topk_group: 1 },
          ...{ topk_method: 'greedy', norm_topk_prob: false, routed_scaling_factor: 1 },
        }
      : {
          architectures: [window ? 'MistralForCausalLM' : 'LlamaForCausalLM'],
          ...{ model_type: window ? 'mistral' : 'llama', sliding_window: window },
          ...{ num_attention_heads: 4, num_key_value_heads: 2, head_dim: 64 },
        }
    const config = {
      ...heads,
      ...{ hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1, vocab_size: 64 },
      ...{ max_position_embeddings: context, rms_norm_eps: 1e-5, hidden_act: 'silu' },
    }
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
    return folder
  }

  const prompt = (length: number) => ({
    promptTokenIds: Array.from({ length }, (_, i) => (i * 29 + length) % 64),
  })
  const logprobsAt = ({ outputs: [completion] }: RequestOutput, t: number) =>
    JSON.stringify([...completion!.logprobs![t]!])

  // Beyond 512 tokens a context is cut into spans, and beyond 8,192 these are longer: 8,188 tokens and the eight behind
  // them cross that border. float32 has no tensor cores. A window of few tokens keeps the emulator's work small there, and
  // what is left of a prompt behind a cached prefix does where latent rows take long.
  it.each([
    { long: 700, chunk: 75, dtype: 'bfloat16' },
    { long: 700, chunk: 75, dtype: 'bfloat16', window: 300 },
    { long: 1050, chunk: 500, dtype: 'float32', window: 60 },
    { long: 8188, chunk: 1000, dtype: 'bfloat16', window: 40 },
    { long: 530, chunk: 75, dtype: 'bfloat16', latent: true },
    { long: 530, chunk: 500, dtype: 'float32', latent: true },
  ] as const)('cuts long contexts alike for all rows: %o', async (given) => {
    const { long, chunk, dtype } = given
    const context = long + 64
    const options: EngineOptions = {
      ...{ device: 'cuda', loadFormat: 'dummy', dtype, kvCacheDtype: dtype },
      ...{ skipTokenizerInit: true, batchInvariant: true, enablePrefixCaching: 'latent' in given },
      ...{ maxNumSeqs: 4, maxModelLen: context, seed: 3 },
      numGpuBlocksOverride: Math.ceil((3 * context) / 16),
    }
    const folder = writeModel(context, given)
    const other = dtype === 'float32' || 'latent' in given ? 90 : 513
    const requests = [prompt(long), prompt(20), prompt(other)]
    const whole = await LLMEngine.load(folder, { ...options, maxNumBatchedTokens: context })
    const alone = [await generate(whole, [requests[0]!]), await generate(whole, [requests[2]!])]
    const [first] = alone[0]!
    const ids = first!.outputs[0]!.tokenIds
    // What a decoding row computed is computed again as the last row of a prompt.
    const again = { promptTokenIds: [...requests[0]!.promptTokenIds, ...ids.slice(0, 6)] }
    const [recomputed] = await generate(whole, [again])
    expect(logprobsAt(recomputed!, 0)).toBe(logprobsAt(first!, 6))
    await whole.close()
    const cut = await LLMEngine.load(folder, { ...options, maxNumBatchedTokens: chunk })
    const together = await generate(cut, requests)
    await cut.close()
    expect([together[0]!, together[2]!].map(bitsOf)).toEqual(alone.flat().map(bitsOf))
  })
})
