import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveEngineOptions } from '../lib/engine/config.js'
import { planMemory } from '../lib/engine/memory.js'
import { LLMEngine, type EngineOptions, type LoraRequest, type Prompt } from '../lib/index.js'
import { buildPlan, readModelConfig } from '../lib/models/registry.js'
import { adapterBytes } from '../lib/plan/size.js'
import { adapterFolder, pair, RANK } from './support/adapters.js'
import { expectLogprobs } from './support/expect-logprobs.js'
import {
  BASE,
  expectMixed,
  GREEDY,
  load,
  lora,
  MIXED,
  NAMES,
  reference,
} from './support/lora-engine.js'
import { normalNumbers } from './support/made-numbers.js'
import { EXACT, FIXTURES, floats } from './support/models.js'

describe('an engine with adapters', () => {
  let engine: LLMEngine
  beforeAll(async () => {
    engine = await load({ maxLogprobs: -1 })
  })
  afterAll(() => engine.close())

  it.each(['base', ...NAMES])('gives what peft gives: %s', async (name) => {
    const options = name === 'base' ? {} : { loraRequest: lora(name) }
    for (const [i, promptTokenIds] of reference.prompts.entries()) {
      const [output] = await engine.generate(
        { promptTokenIds },
        { ...GREEDY, logprobs: -1 },
        options,
      )
      const [completion] = output!.outputs
      expect(completion!.tokenIds).toEqual(reference[name]!.greedy[i])
      expectLogprobs(completion!.logprobs![0]!, floats(reference[name]!.next_logits[i]!))
    }
    expect(engine.stats().runningAdapters).toEqual([])
  })

  it('serves all of them in one batch', () => expectMixed(engine))

  it('shares cached blocks between requests with the same adapter only', async () => {
    engine.resetPrefixCache()
    const promptTokenIds = Array.from({ length: 65 }, (_, i) => i + 3)
    const cached = async (loraRequest?: LoraRequest) => {
      const prompt = { promptTokenIds, ...(loraRequest && { loraRequest }) }
      const [output] = await engine.generate(prompt, { maxTokens: 1 })
      return output!.metrics.cachedTokens
    }
    expect(await cached()).toBe(0)
    expect(await cached(lora('qv-r4'))).toBe(0)
    expect(await cached(lora('all-r8'))).toBe(0)
    expect(await cached(lora('qv-r4'))).toBe(64)
    expect(await cached()).toBe(64)
  })

  it('embeds and pins with them', async () => {
    const prompt = { promptTokenIds: reference.prompts[2]! }
    const [plain] = await engine.embed(prompt)
    const [adapted] = await engine.embed(prompt, { loraRequest: lora('all-r8') })
    expect(adapted!.embedding).not.toEqual(plain!.embedding)
    const pinned = await engine.cachePrefix({ ...prompt, loraRequest: lora('all-r8') })
    expect(pinned.tokens).toBe(32)
    await expectMixed(engine)
    pinned.release()
  })

  it('draws several outputs and searches beams with them', async () => {
    const prompt = { promptTokenIds: reference.prompts[1]!, loraRequest: lora('all-r8') }
    const drawn = { maxTokens: 12, n: 3, temperature: 1, seed: 5, ignoreEos: true }
    const beams = { maxTokens: 12, beamWidth: 3, n: 3, ignoreEos: true }
    for (const params of [drawn, beams]) {
      const [alone] = await engine.generate(prompt, params)
      const [, together] = await engine.generate(
        [
          { ...prompt, loraRequest: lora('qv-r4') },
          prompt,
          { promptTokenIds: prompt.promptTokenIds },
        ],
        params,
      )
      const tokens = (output = alone) => output!.outputs.map(({ tokenIds }) => tokenIds)
      expect(tokens(together)).toEqual(tokens())
    }
    engine.checkIntegrity()
  })

  it('steps by hand', async () => {
    engine.addRequest('base', { promptTokenIds: reference.prompts[1]! }, GREEDY)
    engine.addRequest(
      'lora',
      { promptTokenIds: reference.prompts[1]!, loraRequest: lora('qv-r4') },
      GREEDY,
    )
    const ended = new Map<string, readonly number[]>()
    for (let moved; (moved = await engine.step()).length > 0;)
      for (const { requestId, finished, outputs } of moved)
        if (finished) ended.set(requestId, outputs[0]!.tokenIds)
    expect(ended.get('base')).toEqual(reference.base!.greedy[1])
    expect(ended.get('lora')).toEqual(reference['qv-r4']!.greedy[1])
  })
})

describe('the same tokens', () => {
  it.each<[string, EngineOptions]>([
    ['with one slot for three adapters', { maxLoras: 1 }],
    ['with two slots', { maxLoras: 2 }],
    ['scheduled ahead', { asyncScheduling: true, maxLoras: 2 }],
    ['prompts in chunks of 5', { maxNumBatchedTokens: 5 }],
    ['preempted', { numGpuBlocksOverride: 12, blockSize: 4, maxLoras: 2, maxModelLen: 48 }],
    [
      'swapped out',
      {
        numGpuBlocksOverride: 12,
        blockSize: 4,
        maxModelLen: 48,
        swapSpace: 0.01,
        preemptionMode: 'swap',
      },
    ],
    ['by priority', { schedulingPolicy: 'priority', maxLoras: 1 }],
    ['short ones first', { schedulingPolicy: 'mlfq', maxLoras: 1 }],
    ['with drafts', { speculativeConfig: { method: 'ngram' } }],
    ['on three threads', { threads: 3 }],
  ])('%s', async (_, options) => {
    await using engine = await load(options)
    const wanted = options.maxModelLen
      ? MIXED.filter(({ prompt }) => prompt.promptTokenIds.length + 24 <= options.maxModelLen!)
      : MIXED
    await expectMixed(engine, [...wanted, ...wanted])
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
    if (options.numGpuBlocksOverride) expect(engine.stats().preemptions).toBeGreaterThan(0)
  })

  it.each(['int8', 'int4'] as const)(
    'of a row alone and among others, in %s',
    async (quantization) => {
      await using engine = await load({ quantization })
      const run = (prompts: Prompt[]) => engine.generate(prompts, GREEDY)
      const together = await run(MIXED.map(({ prompt }) => prompt))
      for (const [i, { prompt }] of MIXED.entries()) {
        const [alone] = await run([prompt])
        expect(alone!.outputs[0]!.tokenIds).toEqual(together[i]!.outputs[0]!.tokenIds)
      }
    },
  )
})

describe('adapters by name', () => {
  const prompt = { promptTokenIds: reference.prompts[1]! }
  const temporary = mkdtempSync(join(tmpdir(), 'octavo-loras-'))
  afterAll(() => rmSync(temporary, { recursive: true }))
  const copy = (name: string, as: string) => {
    const folder = join(temporary, as)
    cpSync(join(FIXTURES, 'lora', name), folder, { recursive: true })
    return folder
  }
  const tokens = async (engine: LLMEngine, loraRequest: LoraRequest) => {
    const [output] = await engine.generate(prompt, GREEDY, { loraRequest })
    return output!.outputs[0]!.tokenIds
  }

  it('are read once, until they are removed or added anew', async () => {
    await using engine = await load()
    const loraPath = copy('qv-r4', 'changing')
    await engine.loras.add({ loraName: 'mine', loraPath })
    expect(engine.loras.names).toEqual(['mine'])
    expect(await tokens(engine, { loraName: 'mine' })).toEqual(reference['qv-r4']!.greedy[1])
    rmSync(loraPath, { recursive: true })
    copy('all-r8', 'changing')
    expect(await tokens(engine, { loraName: 'mine', loraPath })).toEqual(
      reference['qv-r4']!.greedy[1],
    )
    await engine.loras.add({ loraName: 'mine', loraPath })
    expect(await tokens(engine, { loraName: 'mine' })).toEqual(reference['all-r8']!.greedy[1])
    expect(engine.loras.remove('mine')).toBe(true)
    expect(engine.loras.remove('mine')).toBe(false)
    await expect(tokens(engine, { loraName: 'mine' })).rejects.toThrow(
      'loraRequest.loraPath: expected where adapter mine lies, as none of that name is known',
    )
  })

  it('are for a call what they were when it got them', async () => {
    await using engine = await load()
    await engine.loras.add(lora('qv-r4'))
    const held = engine.loras.get('qv-r4')!
    expect(held).toEqual(lora('qv-r4'))
    const missing = join(temporary, 'nowhere')
    const failing = engine.loras.add({ loraName: 'qv-r4', loraPath: missing })
    expect(engine.loras.get('qv-r4')).toBe(held)
    await expect(failing).rejects.toMatchObject({ code: 'model_not_found' })
    expect(engine.loras.get('qv-r4')).toBe(held)
    const beginning = engine.loras.add(lora('all-r8'))
    expect(engine.loras.has('all-r8')).toBe(true)
    expect([engine.loras.get('all-r8'), engine.loras.names]).toEqual([undefined, ['qv-r4']])
    await beginning
    expect(engine.loras.names).toEqual(['qv-r4', 'all-r8'])
    await engine.loras.add({ loraName: 'qv-r4', loraPath: lora('all-r8').loraPath! })
    expect(await tokens(engine, held)).toEqual(reference['qv-r4']!.greedy[1])
    engine.loras.remove('qv-r4')
    expect(await tokens(engine, held)).toEqual(reference['qv-r4']!.greedy[1])
    expect(engine.loras.get('qv-r4')).toBeUndefined()
    const [inPrompt] = await engine.generate([{ ...prompt, loraRequest: held }], GREEDY)
    expect(inPrompt!.outputs[0]!.tokenIds).toEqual(reference['qv-r4']!.greedy[1])
  })

  it('are gone if they are removed while they are read', async () => {
    await using engine = await load()
    await engine.loras.add(lora('qv-r4'))
    for (const name of ['qv-r4', 'all-r8']) {
      const reading = engine.loras.add(lora(name))
      expect(engine.loras.remove(name)).toBe(true)
      await reading
      expect([engine.loras.has(name), engine.loras.names]).toEqual([false, []])
    }
  })

  it('are what was added last, whichever is read first', async () => {
    await using engine = await load()
    const loraName = 'mine'
    const adding = ['qv-r4', 'all-r8'].map((name) =>
      engine.loras.add({ loraName, loraPath: lora(name).loraPath! }),
    )
    await Promise.all(adding)
    expect(engine.loras.get(loraName)!.loraPath).toBe(lora('all-r8').loraPath)
  })

  it('are refused where another one has the name', async () => {
    await using engine = await load()
    await engine.loras.add(lora('qv-r4'))
    const other = { loraName: 'qv-r4', loraPath: lora('all-r8').loraPath! }
    await expect(tokens(engine, other)).rejects.toThrow(
      /loraRequest.loraPath: expected .*qv-r4, where/,
    )
  })

  it('fail alone: a folder that is none, a rank that is too large, a module of another model', async () => {
    await using engine = await load({ maxLoraRank: 8 })
    const missing = { loraName: 'x', loraPath: join(temporary, 'nowhere') }
    const [found] = await Promise.all([
      tokens(engine, lora('qv-r4')),
      expect(tokens(engine, missing)).rejects.toMatchObject({ code: 'model_not_found' }),
      expect(tokens(engine, lora('mlp-r16-rslora'))).rejects.toThrow(
        'maxLoraRank: expected at least 16, the rank of adapter mlp-r16-rslora, found 8',
      ),
    ])
    expect(found).toEqual(reference['qv-r4']!.greedy[1])
    expect(engine.loras.names).toEqual(['qv-r4'])
  })

  it('fail their own requests where their files are gone when they are to be loaded', async () => {
    await using engine = await load({ maxLoras: 1 })
    const loraPath = copy('qv-r4', 'gone')
    const gone = { loraName: 'gone', loraPath }
    await engine.loras.add(gone)
    rmSync(loraPath, { recursive: true })
    const [kept] = await Promise.all([
      tokens(engine, lora('all-r8')),
      expect(tokens(engine, gone)).rejects.toMatchObject({
        code: 'invalid_file',
        message: expect.stringMatching(/^adapter gone: .*adapter_model.safetensors/) as string,
      }),
    ])
    expect(kept).toEqual(reference['all-r8']!.greedy[1])
    engine.checkIntegrity()
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, usedBlocks: 0 })
    copy('qv-r4', 'gone')
    expect(await tokens(engine, gone)).toEqual(reference['qv-r4']!.greedy[1])
  })

  it('fail their requests where their files were cut short meanwhile', async () => {
    await using engine = await load()
    const loraPath = copy('qv-r4', 'short')
    await engine.loras.add({ loraName: 'short', loraPath })
    const file = join(loraPath, 'adapter_model.safetensors')
    writeFileSync(file, readFileSync(file).subarray(0, 4000))
    await expect(tokens(engine, { loraName: 'short' })).rejects.toMatchObject({
      code: 'invalid_file',
    })
    expect(await tokens(engine, lora('all-r8'))).toEqual(reference['all-r8']!.greedy[1])
  })
})

describe('a GGUF file that fuses what adapters name', () => {
  it('gives the tokens of its folder', async () => {
    const module = 'gpt_neox.layers.0.attention.query_key_value'
    const tensors = Object.entries(pair(module, [32, 96])).map(([name, tensor], seed) => {
      const { buffer } = normalNumbers(RANK * (seed === 0 ? 32 : 96), { seed, deviation: 0.5 })
      return [name, { ...tensor, bytes: new Uint8Array(buffer) }] as const
    })
    const loraRequest = { loraName: 'x', loraPath: adapterFolder({}, Object.fromEntries(tensors)) }
    const prompt = { promptTokenIds: [25, 5, 18, 24, 5, 14, 49] }
    const found: (readonly number[])[] = []
    for (const place of ['models/gpt-neox-serial', 'gguf/gpt-neox-serial-BF16.gguf']) {
      const options = { ...EXACT, skipTokenizerInit: true, enableLora: true }
      await using engine = await LLMEngine.load(join(FIXTURES, place), options)
      const outputs = await engine.generate([{ ...prompt, loraRequest }, prompt], GREEDY)
      found.push(...outputs.map(({ outputs: [output] }) => output!.tokenIds))
    }
    const [folder, folderPlain, file, filePlain] = found
    expect(file).toEqual(folder)
    expect(filePlain).toEqual(folderPlain)
    expect(folder).not.toEqual(folderPlain)
  })
})

describe('bad options', () => {
  it.each<[EngineOptions, string]>([
    [{ enableLora: false, maxLoras: 2 }, 'maxLoras: expected none without enableLora, found 2'],
    [{ maxLoras: 0 }, 'maxLoras: expected an integer from 1 to 1024, found 0'],
    [{ maxLoraRank: 2000 }, 'maxLoraRank: expected an integer from 1 to 1024, found 2000'],
  ])('%o', async (options, message) => {
    await expect(load(options)).rejects.toThrow(message)
  })

  it('a request of an engine that serves none', async () => {
    await using engine = await load({ enableLora: false })
    const prompt = { promptTokenIds: [1], loraRequest: lora('qv-r4') }
    await expect(engine.generate(prompt)).rejects.toMatchObject({
      code: 'not_supported',
      message: 'loraRequest: needs enableLora',
    })
  })

  it.each<[unknown, string]>([
    ['sql', 'prompt.loraRequest: expected an object { loraName, loraPath }, found "sql"'],
    [{}, 'prompt.loraRequest.loraName: expected'],
    [{ loraName: 'a', loraPath: 3 }, 'prompt.loraRequest.loraPath: expected'],
    [{ loraName: 'a', path: 'b' }, 'unknown prompt.loraRequest field "path"'],
  ])('loraRequest %o', async (loraRequest, message) => {
    await using engine = await load()
    const prompt = { promptTokenIds: [1], loraRequest } as Prompt
    await expect(engine.generate(prompt)).rejects.toThrow(message)
  })
})

describe('memory of adapters', () => {
  const config = resolveEngineOptions({
    enableLora: true,
    maxLoras: 4,
    maxLoraRank: 20,
    numGpuBlocksOverride: 8,
  })
  const plan = buildPlan(
    readModelConfig(JSON.parse(readFileSync(join(BASE, 'config.json'), 'utf8'))),
    { weightType: 'bfloat16', cacheType: 'bfloat16', adapts: true },
  )
  // A rank of 32 beside q, k and v of 64, 32 and 32 rows, o of 64, gate and up of 160, down and the head of 320.
  const bytes = 2 * 32 * (3 * (3 * 64 + 128 + (64 + 64) + (2 * 64 + 320) + (160 + 64)) + (64 + 320))
  const planned = (device: 'cpu' | 'cuda', available: number) =>
    planMemory({ plan, config, modelMaxLen: 64, device, available })

  it('is taken ahead on a GPU, for all slots', () => {
    expect(adapterBytes(plan, 20)).toBe(bytes)
    const { weights, cache, arena } = planned('cuda', 2 ** 30)
    const needed = weights + cache + arena + 4 * bytes
    expect(() => planned('cuda', needed)).not.toThrow()
    expect(() => planned('cuda', needed - 1)).toThrow(/for adapters \(maxLoras, maxLoraRank\)/)
    expect(() => planned('cpu', needed - 1)).not.toThrow()
  })
})
