import { whyNotEmulated } from '../support/emulated.js'
import { afterEach, describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions } from '../../lib/index.js'
import { loadAddon } from '../../lib/native/addon.js'
import { EXACT, modelReference } from '../support/models.js'

const MIB = 2 ** 20

const { folder, prompts, greedy } = modelReference('llama')

function load(memory: number, options: EngineOptions = {}): Promise<LLMEngine> {
  process.env.OCTAVO_EMULATED_MEMORY = String(memory)
  return LLMEngine.load(folder, {
    ...EXACT,
    device: 'cuda',
    dtype: 'float32',
    skipTokenizerInit: true,
    maxNumSeqs: 16,
    maxNumBatchedTokens: 64,
    swapSpace: 0,
    ...options,
  })
}

const blocksOf = (engine: LLMEngine) => engine.stats().totalBlocks

describe.skipIf(whyNotEmulated)('the cache of a GPU', () => {
  let engine: LLMEngine | undefined
  afterEach(async () => {
    await engine?.close()
    engine = undefined
    delete process.env.OCTAVO_EMULATED_MEMORY
  })

  it('has what the largest steps leave of the share that may be used', async () => {
    const total = 3 * MIB
    engine = await load(total, { gpuMemoryUtilization: 0.75 })
    const { free } = loadAddon().cudaMemory()
    const block = 8192 // bytes
    expect(free).toBeGreaterThanOrEqual(total / 4)
    expect(free).toBeLessThan(total / 4 + 2 * block)
    const outputs = await engine.generate(
      prompts.map((promptTokenIds) => ({ promptTokenIds })),
      { maxTokens: 12, temperature: 0, ignoreEos: true },
    )
    outputs.forEach(({ outputs: [completion] }, i) =>
      expect(completion!.tokenIds).toEqual(greedy[i]!.slice(0, 12)),
    )
    expect(loadAddon().cudaMemory().free).toBe(free) // serving took nothing more
    engine.checkIntegrity()
  })

  it('is no larger than all sequences of full length need', async () => {
    engine = await load(64 * MIB)
    const all = blocksOf(engine)
    await engine.close()
    engine = await load(80 * MIB)
    expect(blocksOf(engine)).toBe(all)
  })

  it('is as large as an option says', async () => {
    engine = await load(64 * MIB, { numGpuBlocksOverride: 9 })
    expect(blocksOf(engine)).toBe(9)
  })

  it('lowers maxModelLen to what fits, and says so', async () => {
    const lines: string[] = []
    engine = await load(0.95 * MIB, { log: (line) => lines.push(line) })
    expect(lines).toEqual([
      expect.stringMatching(/^maxModelLen lowered from \d+ to \d+: the cache/),
    ])
  })

  it('is refused with the numbers where nothing is left', async () => {
    await expect(load(0.5 * MIB)).rejects.toThrow(/of the memory, 0\.000 GiB, holds no block/)
    // Weights and arena fit, and what the steps need besides does not.
    await expect(load(0.8 * MIB)).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringContaining('within gpuMemoryUtilization 0.9') as string,
    })
  })
})
