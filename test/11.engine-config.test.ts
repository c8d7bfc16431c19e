import { describe, expect, test, vi } from 'vitest'
import { resolveEngineOptions } from '../lib/engine/config.js'
import type { EngineOptions } from '../lib/engine/config.js'
import { planTypes } from '../lib/engine/plan-types.js'
import { EngineError } from '../lib/errors.js'
import { LLMEngine } from '../lib/index.js'
import { readModelConfig } from '../lib/models/registry.js'
import { checkpointOf } from '../lib/weights/checkpoint.js'
import type { WeightTypeOf } from '../lib/plan/builder.js'
import { locateModel } from '../lib/weights/model-folder.js'
import { FIXTURES, modelReference } from './support/models.js'

const resolve = (options?: unknown) => resolveEngineOptions(options as EngineOptions)

describe('defaults', () => {
  test('fill in every option; null is decided at load', () => {
    const { log, ...config } = resolve()
    expect(log).toBeTypeOf('function')
    expect(config).toEqual({
      device: 'auto',
      dtype: null,
      kvCacheDtype: null,
      matmulPrecision: 'auto',
      loadFormat: 'auto',
      packedWeightsCache: null,
      maxModelLen: null,
      maxNumSeqs: 256,
      maxNumBatchedTokens: 2048,
      quantization: null,
      blockSize: 16,
      kvCacheMemoryBytes: null,
      numGpuBlocksOverride: null,
      gpuMemoryUtilization: null,
      enablePrefixCaching: true,
      enableChunkedPrefill: true,
      asyncScheduling: false,
      speculativeConfig: null,
      lora: null,
      batchInvariant: false,
      maxNumPartialPrefills: 1,
      schedulingPolicy: 'fcfs',
      watermark: 0.03,
      preemptionMode: 'auto',
      swapSpace: 0,
      maxLogprobs: 20,
      logprobsMode: 'raw',
      skipTokenizerInit: false,
      generationConfig: 'auto',
      chatTemplate: null,
      defaultChatTemplateKwargs: {},
      seed: 0,
      threads: null,
      isa: 'auto',
      revision: 'main',
      localFilesOnly: false,
    })
  })

  test('take undefined as absent, and are frozen', () => {
    expect(resolve({ blockSize: undefined, device: undefined, log: false })).toMatchObject({
      blockSize: 16,
      device: 'auto',
    })
    expect(Object.isFrozen(resolve({}))).toBe(true)
  })
})

describe('accepted values', () => {
  test.each<[EngineOptions, object]>([
    [{ device: 'auto' }, { device: 'auto' }],
    [{ device: 'cpu' }, { device: 'cpu' }],
    [{ device: 'cuda' }, { device: 'cuda' }],
    [{ gpuMemoryUtilization: 0.5 }, { gpuMemoryUtilization: 0.5 }],
    [{ dtype: 'bfloat16' }, { dtype: 'bfloat16' }],
    [{ kvCacheDtype: 'float32' }, { kvCacheDtype: 'float32' }],
    [{ kvCacheDtype: 'auto' }, { kvCacheDtype: null }],
    [{ kvCacheDtype: 'fp8' }, { kvCacheDtype: 'fp8' }],
    [{ loadFormat: 'dummy' }, { loadFormat: 'dummy' }],
    [{ loadFormat: 'gguf' }, { loadFormat: 'gguf' }],
    [{ generationConfig: 'vllm' }, { generationConfig: 'vllm' }],
    [
      { chatTemplate: 'a.jinja', defaultChatTemplateKwargs: { a: 1 } },
      { chatTemplate: 'a.jinja', defaultChatTemplateKwargs: { a: 1 } },
    ],
    [{ packedWeightsCache: 'packed' }, { packedWeightsCache: 'packed' }],
    [{ quantization: null }, {}],
    [{ quantization: 'none' }, {}],
    [{ quantization: 'int8' }, { quantization: 'int8' }],
    [{ quantization: 'int4' }, { quantization: 'int4' }],
    [
      { blockSize: 1, maxNumBatchedTokens: 1, maxNumSeqs: 1 },
      { blockSize: 1, maxNumSeqs: 1 },
    ],
    [{ kvCacheMemoryBytes: 2 ** 40 }, { kvCacheMemoryBytes: 2 ** 40 }],
    [{ numGpuBlocksOverride: 10 }, { numGpuBlocksOverride: 10 }],
    [{ schedulingPolicy: 'priority' }, { schedulingPolicy: 'priority' }],
    [{ schedulingPolicy: 'mlfq' }, { schedulingPolicy: 'mlfq' }],
    [{ preemptionMode: 'recompute' }, { preemptionMode: 'recompute', swapSpace: 0 }],
    [
      { preemptionMode: 'swap', swapSpace: 0.5 },
      { preemptionMode: 'swap', swapSpace: 0.5 },
    ],
    [{ maxNumPartialPrefills: 4 }, { maxNumPartialPrefills: 4 }],
    [{ watermark: 0 }, { watermark: 0 }],
    [{ tensorParallelSize: 1 }, {}],
    [{ asyncScheduling: true }, { asyncScheduling: true }],
    [{ batchInvariant: true }, { batchInvariant: true }],
    [{ maxLogprobs: -1 }, { maxLogprobs: -1 }],
    [{ logprobsMode: 'processed' }, { logprobsMode: 'processed' }],
    [{ logprobsMode: 'raw_logprobs' }, { logprobsMode: 'raw' }],
    [{ logprobsMode: 'processed_logprobs' }, { logprobsMode: 'processed' }],
    [{ enablePrefixCaching: false }, { enablePrefixCaching: false }],
    [{ enableChunkedPrefill: false }, { enableChunkedPrefill: false }],
    [
      { threads: 2, isa: 'avx2', seed: -5 },
      { threads: 2, isa: 'avx2', seed: -5 },
    ],
    [
      { revision: 'v2', localFilesOnly: true },
      { revision: 'v2', localFilesOnly: true },
    ],
  ])('%o', (options, expected) => {
    expect(resolve(options)).toMatchObject(expected)
  })

  test('log is the function given, or none, or standard error', () => {
    const log = () => undefined
    expect(resolve({ log }).log).toBe(log)
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    resolve({ log: false }).log('silent')
    expect(write).not.toHaveBeenCalled()
    resolve().log('heard')
    expect(write).toHaveBeenCalledExactlyOnceWith('heard\n')
    write.mockRestore()
  })
})

describe('the types that no option names', () => {
  const found = async (device: 'cpu' | 'cuda', name = 'demo') => {
    const folder = await locateModel(name)
    const model = readModelConfig(folder.config, folder.configFile)
    return { folder, checkpoint: await checkpointOf(folder), model, device }
  }

  test.each<[EngineOptions, string]>([
    [{}, 'bfloat16'],
    [{ matmulPrecision: 'bfloat16' }, 'bfloat16'],
    [{ matmulPrecision: 'float32' }, 'float16'],
    [{ dtype: 'float32' }, 'float16'],
    [{ dtype: 'float16' }, 'float16'],
    [{ quantization: 'int4' }, 'bfloat16'],
    [{ quantization: 'int4', matmulPrecision: 'float32' }, 'float16'],
  ])('the cache follows on the CPU what products round: %j', async (options, type) => {
    expect(planTypes(resolve(options), await found('cpu')).cacheType).toBe(type)
  })

  test('the cache is float16 on the CPU where it holds latent rows, of which no pairs are multiplied', async () => {
    const model = await found('cpu', modelReference('deepseek-v2-lite').folder)
    expect(planTypes(resolve(), model)).toMatchObject({ cacheType: 'float16', roundsInputs: true })
  })

  test.each<[EngineOptions, string[], string]>([
    [{}, ['avx512', 'avx2'], 'int16'],
    [{}, ['avx512_bf16', 'avx512'], 'bfloat16'],
    [{ isa: 'avx2' }, ['avx512', 'avx2'], 'bfloat16'],
    [{ isa: 'avx512' }, ['avx512_bf16', 'avx512'], 'int16'],
    [{ matmulPrecision: 'bfloat16' }, ['avx512'], 'bfloat16'],
    [{ kvCacheDtype: 'float32' }, ['avx512'], 'bfloat16'],
    [{ dtype: 'float16' }, ['avx512'], 'float16'],
    [{ dtype: 'float32', matmulPrecision: 'int16' }, ['avx2'], 'int16'],
    [{ quantization: 'int4' }, ['avx512'], 'int4/32'],
  ])('%j on %j: matrices are of %s', async (options, instructionSets, type) => {
    const { weightType } = planTypes(resolve(options), { ...(await found('cpu')), instructionSets })
    expect((weightType as WeightTypeOf)(['a'], 'linear')).toBe(type)
  })

  test.each<[EngineOptions, string]>([
    [{}, 'bfloat16'],
    [{ dtype: 'float32' }, 'float32'],
    [{ dtype: 'float16' }, 'float16'],
    [{ quantization: 'int8' }, 'bfloat16'],
  ])('the cache has on a GPU the one that it computes in: %j', async (options, type) => {
    const types = planTypes(resolve(options), await found('cuda'))
    expect(types).toMatchObject({ cacheType: type, roundsInputs: false })
  })

  test.each([{ packedWeightsCache: 'packed' }, { matmulPrecision: 'float32' }] as const)(
    'on a GPU, %j is refused',
    async (options) => {
      const [name] = Object.keys(options)
      const model = await found('cuda')
      const error = catchError(() => planTypes(resolve(options), model))
      expect(error).toMatchObject({ code: 'not_supported' })
      expect((error as Error).message).toMatch(new RegExp(`^${name} .*is not supported on cuda: `))
    },
  )
})

describe('misuse', () => {
  test.each([
    [7, 'engine options: expected an object, found 7'],
    [null, 'engine options: expected an object, found null'],
    [{ device: 7 }, "device: expected one of 'auto', 'cpu', 'cuda', found 7"],
    [{ blockSize: '16' }, 'blockSize: expected an integer from 1 to 1024, found "16"'],
    [{ maxModelLen: null }, 'maxModelLen: expected an integer of at least 1, found null'],
    [{ enablePrefixCaching: 'no' }, 'enablePrefixCaching: expected true or false, found "no"'],
    [{ batchInvariant: 1 }, 'batchInvariant: expected true or false, found 1'],
    [{ asyncScheduling: 1 }, 'asyncScheduling: expected true or false, found 1'],
    [{ quantization: 4 }, 'quantization: expected a string, found 4'],
    [{ revision: 4 }, 'revision: expected a string, found 4'],
    [{ packedWeightsCache: true }, 'packedWeightsCache: expected a string, found true'],
    [{ log: true }, 'log: expected a function or false, found true'],
    [{ swapSpace: '4' }, 'swapSpace: expected a number of at least 0, found "4"'],
    [{ block_size: 8 }, 'unknown engine option "block_size"; did you mean blockSize?'],
    [{ maxNumSeq: 8 }, 'unknown engine option "maxNumSeq"; did you mean maxNumSeqs?'],
    [{ temperature: 1 }, 'unknown engine option "temperature"'],
  ])('%o throws TypeError', (options, message) => {
    expect(() => resolve(options)).toThrow(new TypeError(message))
  })

  test.each([
    [{ device: 'gpu' }, `device: expected one of 'auto', 'cpu', 'cuda', found "gpu"`],
    [
      { dtype: 'half' },
      `dtype: expected one of 'auto', 'float32', 'bfloat16', 'float16', found "half"`,
    ],
    [{ maxModelLen: 0 }, 'maxModelLen: expected an integer of at least 1, found 0'],
    [{ maxNumSeqs: 0 }, 'maxNumSeqs: expected an integer of at least 1, found 0'],
    [
      { maxNumBatchedTokens: NaN },
      'maxNumBatchedTokens: expected an integer of at least 1, found NaN',
    ],
    [{ blockSize: 0 }, 'blockSize: expected an integer from 1 to 1024, found 0'],
    [{ blockSize: 1.5 }, 'blockSize: expected an integer from 1 to 1024, found 1.5'],
    [{ kvCacheMemoryBytes: -1 }, 'kvCacheMemoryBytes: expected an integer of at least 1, found -1'],
    [
      { numGpuBlocksOverride: 0 },
      'numGpuBlocksOverride: expected an integer of at least 1, found 0',
    ],
    [
      { gpuMemoryUtilization: 1.1 },
      'gpuMemoryUtilization: expected a number above 0 and at most 1, found 1.1',
    ],
    [{ watermark: 1.5 }, 'watermark: expected a number from 0 to 1, found 1.5'],
    [{ swapSpace: -1 }, 'swapSpace: expected a number of at least 0, found -1'],
    [
      { preemptionMode: 'swap' },
      "swapSpace: expected a number above 0 with preemptionMode 'swap', found 0",
    ],
    [
      { maxNumPartialPrefills: 0 },
      'maxNumPartialPrefills: expected an integer of at least 1, found 0',
    ],
    [
      { schedulingPolicy: 'sjf' },
      `schedulingPolicy: expected one of 'fcfs', 'priority', 'mlfq', found "sjf"`,
    ],
    [{ tensorParallelSize: 0 }, 'tensorParallelSize: expected an integer of at least 1, found 0'],
    [{ maxLogprobs: -2 }, 'maxLogprobs: expected an integer of at least -1, found -2'],
    [
      { logprobsMode: 'raw_logits' },
      `logprobsMode: expected one of 'raw', 'processed', 'raw_logprobs', 'processed_logprobs', found "raw_logits"`,
    ],
    [
      { isa: 'sse' },
      `isa: expected one of 'auto', 'avx512_bf16', 'avx512', 'avx_vnni', 'avx2', 'neon_i8mm', 'neon_dotprod', 'neon', 'portable', found "sse"`,
    ],
    [{ threads: 0 }, 'threads: expected an integer from 1 to 256, found 0'],
    [{ seed: 0.5 }, 'seed: expected an integer, found 0.5'],
    [{ revision: '' }, 'revision: expected a string that is not empty, found ""'],
    [
      { dtype: 'float32', quantization: 'int8' },
      "dtype: expected 'auto' with quantization 'int8', found \"float32\"",
    ],
    [
      { packedWeightsCache: '' },
      'packedWeightsCache: expected a string that is not empty, found ""',
    ],
    [
      { packedWeightsCache: 'packed', loadFormat: 'dummy' },
      'packedWeightsCache: expected none with loadFormat \'dummy\', whose weights are of no file, found "packed"',
    ],
  ])('%o throws RangeError', (options, message) => {
    expect(() => resolve(options)).toThrow(new RangeError(message))
  })
})

describe('what has not landed', () => {
  test.each<EngineOptions>([{ quantization: 'awq' }, { tensorParallelSize: 2 }])(
    '%o',
    (options) => {
      const [[name, value]] = Object.entries(options) as [[string, unknown]]
      const error = catchError(() => resolve(options))
      expect(error).toBeInstanceOf(EngineError)
      expect(error).toMatchObject({
        code: 'not_supported',
        message: `${name} ${JSON.stringify(value)} is not supported by this version`,
      })
    },
  )
})

test.each([{ maxCpuLoras: 4 }])('what has not landed at all: %o', (options) => {
  const [name] = Object.keys(options)
  expect(() => resolve(options)).toThrow(
    new EngineError('not_supported', `${name} is not supported by this version`),
  )
})

describe('enableLora', () => {
  test('has defaults for what goes with it', () => {
    const enableLora = true
    expect(resolve({ enableLora }).lora).toEqual({ maxLoras: 8, maxLoraRank: 64 })
    expect(resolve({ enableLora, maxLoras: 2 }).lora).toEqual({ maxLoras: 2, maxLoraRank: 64 })
    expect(resolve({ enableLora: false }).lora).toBeNull()
  })
})

describe('speculativeConfig', () => {
  const check = (given: object) =>
    resolve({ speculativeConfig: given as EngineOptions['speculativeConfig'] }).speculativeConfig

  test('fills in what is left out, and looks up no more than it is told', () => {
    const ngram = { method: 'ngram', numSpeculativeTokens: 4 }
    expect(check({ method: 'ngram' })).toEqual({
      ...ngram,
      promptLookupMin: 2,
      promptLookupMax: 4,
    })
    const lookUp = (of: object) => {
      const { promptLookupMin, promptLookupMax } = check({ method: 'ngram', ...of })!
      return [promptLookupMin, promptLookupMax]
    }
    expect(lookUp({ promptLookupMax: 1 })).toEqual([1, 1])
    expect(lookUp({ promptLookupMin: 6 })).toEqual([6, 6])
    expect(lookUp({ promptLookupMin: 3, promptLookupMax: 3 })).toEqual([3, 3])
    expect(resolve({ speculativeConfig: null }).speculativeConfig).toBeNull()
  })

  test.each<[unknown, Error]>([
    ['ngram', new TypeError('speculativeConfig: expected an object, found "ngram"')],
    [{}, new TypeError("speculativeConfig.method: expected 'ngram', found undefined")],
    [{ method: 3 }, new TypeError("speculativeConfig.method: expected 'ngram', found 3")],
    [
      { method: 'ngram', num_speculative_tokens: 4 },
      new TypeError(
        'unknown speculativeConfig option "num_speculative_tokens"; did you mean numSpeculativeTokens?',
      ),
    ],
    [
      { method: 'ngram', numSpeculativeTokens: 0 },
      new RangeError(
        'speculativeConfig.numSpeculativeTokens: expected an integer from 1 to 64, found 0',
      ),
    ],
    [
      { method: 'ngram', promptLookupMin: '2' },
      new TypeError(
        'speculativeConfig.promptLookupMin: expected an integer from 1 to 32, found "2"',
      ),
    ],
    [
      { method: 'ngram', promptLookupMax: 33 },
      new RangeError(
        'speculativeConfig.promptLookupMax: expected an integer from 1 to 32, found 33',
      ),
    ],
    [
      { method: 'ngram', promptLookupMin: 4, promptLookupMax: 3 },
      new RangeError(
        'speculativeConfig.promptLookupMin: expected at most promptLookupMax, which is 3, found 4',
      ),
    ],
    [
      { method: 'eagle' },
      new EngineError(
        'not_supported',
        `speculativeConfig.method: expected 'ngram', found "eagle", which this version does not support`,
      ),
    ],
  ])('%o', (given, error) => {
    expect(() => check(given as object)).toThrow(error)
  })
})

describe('kinds of weight files', () => {
  const engine = (loadFormat: 'gguf' | 'safetensors', model = 'demo') =>
    LLMEngine.load(model, { loadFormat, skipTokenizerInit: true, log: false })

  test("'gguf' with other files", async () => {
    await expect(engine('gguf')).rejects.toThrow(
      /^loadFormat: expected 'auto' or 'safetensors' with the files of .*demo, found "gguf"$/,
    )
  })

  test("'gguf' and 'safetensors' with a GGUF file", async () => {
    const file = `${FIXTURES}/gguf/llama-BF16.gguf`
    await (await engine('gguf', file)).close()
    await expect(engine('safetensors', file)).rejects.toThrow(
      /^loadFormat: expected 'auto' or 'gguf' with the files of .*, found "safetensors"$/,
    )
  })
})

function catchError(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
