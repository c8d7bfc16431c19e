import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions } from '../lib/index.js'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { cacheBlockBytes } from '../lib/plan/size.js'
import { EXACT } from './support/models.js'

const LAYERS = 6
const WINDOW = 512
const NEW_TOKENS = 4096
const PROMPT = [5, 9, 14]

/** A tiny model of random weights; `windowed`: all its layers but the last see a window. */
function configOf(windowed: boolean) {
  const types = Array.from({ length: LAYERS }, (_, i) =>
    windowed && i < LAYERS - 1 ? 'sliding_attention' : 'full_attention',
  )
  return {
    ...{ architectures: ['Qwen3ForCausalLM'], model_type: 'qwen3', torch_dtype: 'float32' },
    ...{ vocab_size: 64, hidden_size: 16, intermediate_size: 16, num_hidden_layers: LAYERS },
    ...{ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 8 },
    ...{ max_position_embeddings: 8192, rms_norm_eps: 1e-6, layer_types: types },
    ...{ use_sliding_window: windowed, sliding_window: WINDOW },
  }
}

const OPTIONS: EngineOptions = {
  ...EXACT,
  ...{ loadFormat: 'dummy', seed: 4, skipTokenizerInit: true, enablePrefixCaching: false },
}

describe('4,096 tokens of a model with a window in 5 of 6 layers', () => {
  const folders: string[] = []
  const folderOf = (windowed: boolean) => {
    const folder = mkdtempSync(join(tmpdir(), 'octavo-windows-'))
    folders.push(folder)
    writeFileSync(join(folder, 'config.json'), JSON.stringify(configOf(windowed)))
    return folder
  }
  afterAll(() => folders.forEach((folder) => rmSync(folder, { recursive: true })))

  /** The tokens, their log-probabilities, and the most bytes of blocks that they held at once. */
  async function generate(windowed: boolean) {
    await using engine = await LLMEngine.load(folderOf(windowed), OPTIONS)
    const sampling = { maxTokens: NEW_TOKENS, temperature: 0, ignoreEos: true, logprobs: 0 }
    let most = 0
    const tokens: number[] = []
    const logprobs: number[] = []
    for await (const delta of engine.stream({ promptTokenIds: PROMPT }, sampling)) {
      tokens.push(...delta.tokenIds)
      logprobs.push(...delta.logprobs!.flatMap((row) => [...row.values()].map((x) => x.logprob)))
      most = Math.max(most, engine.stats().usedBlocks)
      if (tokens.length % 512 === 0) engine.checkIntegrity()
    }
    const types = { weightType: 'float32', cacheType: 'float32' } as const
    const plan = buildPlan(readModelConfig(configOf(windowed)), types)
    return { tokens, logprobs, bytes: most * cacheBlockBytes(plan, engine.config.blockSize) }
  }

  let windowed: Awaited<ReturnType<typeof generate>>
  beforeAll(async () => {
    windowed = await generate(true)
  })

  it('hold less than 35 % of the memory that they hold without windows', async () => {
    const full = await generate(false)
    expect(windowed.tokens).toHaveLength(NEW_TOKENS)
    expect(windowed.tokens).not.toEqual(full.tokens)
    // 422 blocks of 6 × 257: 27.4 %.
    expect(windowed.bytes / full.bytes).toBeLessThan(0.35)
    expect(windowed.bytes / full.bytes).toBeGreaterThan(0.25)
  })

  it('are bitwise those of one step that keeps every block', async () => {
    const whole = { enableChunkedPrefill: false, maxNumBatchedTokens: 8192 }
    await using engine = await LLMEngine.load(folderOf(true), { ...OPTIONS, ...whole })
    const promptTokenIds = [...PROMPT, ...windowed.tokens]
    const [output] = await engine.generate(
      { promptTokenIds },
      { maxTokens: 1, promptLogprobs: 0, temperature: 0 },
    )
    const scored = output!.promptLogprobs!.slice(PROMPT.length).map((row) => [...row!.values()][0]!)
    expect(scored.every(({ rank }) => rank === 1)).toBe(true)
    expect(scored.map(({ logprob }) => logprob)).toEqual(windowed.logprobs)
  })
})
