import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LLMEngine } from '../lib/index.js'
import { PlanBuilder } from '../lib/plan/builder.js'
import { printPlan } from '../lib/plan/text.js'
import { temporaryFolder } from './support/files.js'
import { Events, packToy, requireAddon, toyEngine } from './support/toy.js'

/** Bytes of this process's memory that lie in no file. */
function anonymousBytes(): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]
  return Number(kilobytes) * 1024
}

/** A model of one wide layer, whose activations are much larger than its weights and cache. */
function wideModel(): string {
  const folder = temporaryFolder()
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    torch_dtype: 'float32',
    vocab_size: 64,
    hidden_size: 64,
    intermediate_size: 4096,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    bos_token_id: 0,
    eos_token_id: 1,
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  return folder
}

test.runIf(process.platform === 'linux')(
  'what a long prompt touched of the arena is given back behind it',
  async () => {
    const engine = await LLMEngine.load(wideModel(), {
      ...{ loadFormat: 'dummy', skipTokenizerInit: true, numGpuBlocksOverride: 160, log: false },
      ...{ enablePrefixCaching: false },
    })
    const promptTokenIds = Array.from({ length: 2000 }, (_, i) => i % 64)
    const rows = 2000 * 4096 * 4 // what goes into the last product, the least of what is alive there
    const run = async (maxTokens: number) => {
      const options = { maxTokens, temperature: 0, ignoreEos: true }
      const [output] = await engine.generate({ promptTokenIds }, options)
      return { tokens: output!.outputs[0]!.tokenIds, bytes: anonymousBytes() }
    }
    const few = await run(4)
    const many = await run(24)
    const again = await run(24)
    await engine.close()
    expect(few.bytes - many.bytes).toBeGreaterThan(0.8 * rows)
    expect(again.bytes - many.bytes).toBeLessThan(0.4 * rows)
    expect(many.tokens.slice(0, 4)).toEqual(few.tokens)
    expect(again.tokens).toEqual(many.tokens)
  },
)

test.runIf(process.platform === 'linux')(
  'all layers share what the attention of a long context takes',
  async () => {
    const [heads, headDim, layers, tokens] = [8, 128, 16, 65536]
    const g = new PlanBuilder({
      ...{ name: 'long', vocabSize: 2, cacheType: 'float16', weightType: () => 'float32' },
    })
    const group = g.cache({ name: 'kv', layers: 1, kvHeads: 1, keyDim: headDim, valueDim: headDim })
    const qkv = g.embed('qkv', g.matrix({ x: 2 }, (heads + 2) * headDim))
    const q = g.ropeStoreKv('rope', qkv, { group, layer: 0, heads })
    for (let layer = 0; layer < layers; layer++)
      g.pagedAttention(`attention ${layer}`, q, { group, layer: 0, heads, scale: 1 })
    const events = new Events()
    const engine = toyEngine(requireAddon(), events, { threads: 4 })
    await engine.load(printPlan(g.build(), { tokens: 1, sequences: 1, samples: 1 }), { seed: 1 })
    const before = anonymousBytes()
    const sequence = { tokens: [1], start: tokens - 1, blocks: Array<number>(tokens / 16).fill(1) }
    engine.submit(...packToy({ sequences: [sequence] }))
    await events.until(1)
    const taken = anonymousBytes() - before
    await engine.dispose()
    const spans = tokens / 256
    const ofLayer = spans * heads * (headDim + 2) * 4 // a maximum, a sum and values
    expect(taken).toBeLessThan(layers * ofLayer)
  },
)
