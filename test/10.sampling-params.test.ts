import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { resolveSamplingParams } from '../lib/engine/check-sampling.js'
import type { SamplingLimits } from '../lib/engine/check-sampling.js'
import { EngineError } from '../lib/errors.js'
import type { SamplingOptions } from '../lib/sampling-params.js'

const limits: SamplingLimits = {
  vocabSize: 100,
  maxLogprobs: 20,
  maxNumSeqs: 8,
  hasTokenizer: true,
  defaultMaxTokens: 16,
}
const resolve = (options: unknown, changes: Partial<SamplingLimits> = {}) =>
  resolveSamplingParams(options as SamplingOptions, { ...limits, ...changes })

describe('defaults', () => {
  const defaults = {
    n: 1,
    bestOf: 1,
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    stop: [],
    stopTokenIds: [],
    includeStopStrInOutput: false,
    skipSpecialTokens: true,
    ignoreEos: false,
    beamWidth: null,
    lengthPenalty: 1,
    earlyStopping: false,
    maxTokens: 16,
    minTokens: 0,
    logprobs: null,
    promptLogprobs: null,
    logitBias: new Map(),
    allowedTokenIds: null,
    badWords: [],
    structuredOutputs: null,
    truncatePromptTokens: null,
    priority: 0,
    seed: null,
  }

  test('fill in every parameter, for what is absent or undefined', () => {
    expect(resolve({})).toEqual(defaults)
    const undefinedOptions = Object.fromEntries(
      Object.keys(defaults).map((name) => [name, undefined]),
    )
    expect(resolve({ ...undefinedOptions, unknown: undefined })).toEqual(defaults)
  })

  test('are frozen', () => {
    expect(Object.isFrozen(resolve({}))).toBe(true)
  })

  test('of a chat leave maxTokens to the context', () => {
    expect(resolve({ minTokens: 999 }, { defaultMaxTokens: null })).toMatchObject({
      maxTokens: null,
      minTokens: 999,
    })
  })
})

describe('accepted values', () => {
  test.each<[SamplingOptions, object]>([
    [{ n: 3 }, { n: 3, bestOf: 3 }],
    [
      { n: 2, bestOf: 8 },
      { n: 2, bestOf: 8 },
    ],
    [{ temperature: 0 }, { temperature: 0 }],
    [{ temperature: 9e-6 }, { temperature: 0 }],
    [{ temperature: 1e-5 }, { temperature: 1e-5 }],
    [{ topP: 1e-9 }, { topP: 1e-9 }],
    [{ topK: -1 }, { topK: 0 }],
    [{ topK: 1 }, { topK: 1 }],
    [{ topK: 2 ** 32 + 5 }, { topK: limits.vocabSize }],
    [{ minP: 1 }, { minP: 1 }],
    [
      { presencePenalty: -2, frequencyPenalty: 2 },
      { presencePenalty: -2, frequencyPenalty: 2 },
    ],
    [{ repetitionPenalty: 0.5 }, { repetitionPenalty: 0.5 }],
    [{ stop: '\n' }, { stop: ['\n'] }],
    [{ stop: ['a', 'b'] }, { stop: ['a', 'b'] }],
    [{ stop: [] }, { stop: [] }],
    [{ stopTokenIds: [0, 99] }, { stopTokenIds: [0, 99] }],
    [{ allowedTokenIds: [7] }, { allowedTokenIds: [7] }],
    [
      { maxTokens: 1, minTokens: 1 },
      { maxTokens: 1, minTokens: 1 },
    ],
    [{ logprobs: 0 }, { logprobs: 0 }],
    [{ promptLogprobs: 20 }, { promptLogprobs: 20 }],
    [
      { logitBias: { 5: -100, '7': 1.5 } },
      {
        logitBias: new Map([
          [5, -100],
          [7, 1.5],
        ]),
      },
    ],
    [{ logitBias: new Map([[5, 100]]) }, { logitBias: new Map([[5, 100]]) }],
    [{ badWords: ['bad'] }, { badWords: ['bad'] }],
    [{ priority: -3 }, { priority: -3 }],
    [{ seed: 2 ** 53 - 1 }, { seed: 2 ** 53 - 1 }],
    [{ seed: -1 }, { seed: null }],
    [
      { ignoreEos: true, skipSpecialTokens: false },
      { ignoreEos: true, skipSpecialTokens: false },
    ],
  ])('%j', (options, expected) => {
    expect(resolve(options)).toMatchObject(expected)
  })

  test('all log-probabilities where maxLogprobs is −1', () => {
    const all = { maxLogprobs: -1 }
    expect(resolve({ logprobs: -1, promptLogprobs: 500 }, all)).toMatchObject({
      logprobs: 100,
      promptLogprobs: 100,
    })
  })

  test('the caller may change what it passed', () => {
    const stop = ['a']
    const params = resolve({ stop })
    stop.push('b')
    expect(params.stop).toEqual(['a'])
  })
})

describe('wrong types throw TypeError', () => {
  test.each([
    [null, 'sampling options: expected an object, found null'],
    [[], 'sampling options: expected an object, found an empty array'],
    [7, 'sampling options: expected an object, found 7'],
    [{ n: '2' }, 'n: expected an integer of at least 1, found "2"'],
    [{ n: null }, 'n: expected an integer of at least 1, found null'],
    [{ bestOf: 2n }, 'bestOf: expected an integer of at least 1, found 2n'],
    [{ temperature: '0.5' }, 'temperature: expected a number of at least 0, found "0.5"'],
    [{ topP: true }, 'topP: expected a number above 0 and at most 1, found true'],
    [{ topK: [] }, 'topK: expected an integer of at least -1, found an empty array'],
    [{ minP: {} }, 'minP: expected a number from 0 to 1, found an object'],
    [{ stop: 7 }, 'stop: expected a string or an array of strings, found 7'],
    [{ stop: ['a', 7] }, 'stop[1]: expected a string, found 7'],
    // A hole in the array, which no iteration method but Array.from visits.
    [{ stop: ['a', , 'b'] }, 'stop[1]: expected a string, found undefined'], // eslint-disable-line no-sparse-arrays
    [{ stopTokenIds: 7 }, 'stopTokenIds: expected an array, found 7'],
    [{ stopTokenIds: ['7'] }, 'stopTokenIds[0]: expected an integer from 0 to 99, found "7"'],
    [{ includeStopStrInOutput: 1 }, 'includeStopStrInOutput: expected true or false, found 1'],
    [{ skipSpecialTokens: 'no' }, 'skipSpecialTokens: expected true or false, found "no"'],
    [{ ignoreEos: null }, 'ignoreEos: expected true or false, found null'],
    [{ maxTokens: null }, 'maxTokens: expected an integer of at least 1, found null'],
    [{ minTokens: '1' }, 'minTokens: expected an integer of at least 0, found "1"'],
    [{ logprobs: true }, 'logprobs: expected an integer of at least -1, found true'],
    [{ logitBias: 7 }, 'logitBias: expected an object or a Map from token id to number, found 7'],
    [
      { logitBias: [1] },
      'logitBias: expected an object or a Map from token id to number, found an array',
    ],
    [{ logitBias: { 5: '1' } }, 'logitBias[5]: expected a number from -100 to 100, found "1"'],
    [{ badWords: 'bad' }, 'badWords: expected an array, found "bad"'],
    [{ badWords: [() => 1] }, 'badWords[0]: expected a string, found a function'],
    [{ priority: 'high' }, 'priority: expected an integer, found "high"'],
    [{ seed: '7' }, 'seed: expected an integer, found "7"'],
    [
      { stop: { long: 'x'.repeat(99) } },
      'stop: expected a string or an array of strings, found an object',
    ],
    [{ seed: 'x'.repeat(99) }, `seed: expected an integer, found "${'x'.repeat(57)}..."`],
  ])('%o', (options, message) => {
    expect(() => resolve(options)).toThrow(new TypeError(message))
  })
})

describe('values out of range throw RangeError', () => {
  test.each<[SamplingOptions, string]>([
    [{ n: 0 }, 'n: expected an integer of at least 1, found 0'],
    [{ n: 1.5 }, 'n: expected an integer of at least 1, found 1.5'],
    [{ n: 9 }, 'n: expected at most maxNumSeqs, which is 8, found 9'],
    [{ bestOf: 9 }, 'bestOf: expected at most maxNumSeqs, which is 8, found 9'],
    [{ n: 3, bestOf: 2 }, 'bestOf: expected at least n, which is 3, found 2'],
    [{ temperature: -0.1 }, 'temperature: expected a number of at least 0, found -0.1'],
    [{ temperature: NaN }, 'temperature: expected a number of at least 0, found NaN'],
    [{ temperature: Infinity }, 'temperature: expected a number of at least 0, found Infinity'],
    [
      { temperature: 0, n: 2 },
      'n: expected 1 when temperature is 0, as every draw would be the same, found 2',
    ],
    [
      { temperature: 0, bestOf: 2 },
      'bestOf: expected 1 when temperature is 0, as every draw would be the same, found 2',
    ],
    [{ topP: 0 }, 'topP: expected a number above 0 and at most 1, found 0'],
    [{ topP: 1.01 }, 'topP: expected a number above 0 and at most 1, found 1.01'],
    [{ topP: NaN }, 'topP: expected a number above 0 and at most 1, found NaN'],
    [{ topK: -2 }, 'topK: expected an integer of at least -1, found -2'],
    [{ topK: 0.5 }, 'topK: expected an integer of at least -1, found 0.5'],
    [{ minP: -0.1 }, 'minP: expected a number from 0 to 1, found -0.1'],
    [{ minP: 1.1 }, 'minP: expected a number from 0 to 1, found 1.1'],
    [{ presencePenalty: 2.1 }, 'presencePenalty: expected a number from -2 to 2, found 2.1'],
    [{ frequencyPenalty: -2.1 }, 'frequencyPenalty: expected a number from -2 to 2, found -2.1'],
    [{ repetitionPenalty: 0 }, 'repetitionPenalty: expected a number above 0, found 0'],
    [{ stop: '' }, 'stop: expected a string that is not empty, found ""'],
    [{ stop: ['a', ''] }, 'stop[1]: expected a string that is not empty, found ""'],
    [{ stopTokenIds: [100] }, 'stopTokenIds[0]: expected an integer from 0 to 99, found 100'],
    [{ stopTokenIds: [1.5] }, 'stopTokenIds[0]: expected an integer from 0 to 99, found 1.5'],
    [{ maxTokens: 0 }, 'maxTokens: expected an integer of at least 1, found 0'],
    [{ maxTokens: NaN }, 'maxTokens: expected an integer of at least 1, found NaN'],
    [{ minTokens: -1 }, 'minTokens: expected an integer of at least 0, found -1'],
    [{ minTokens: 17 }, 'minTokens: expected at most maxTokens, which is 16, found 17'],
    [{ logprobs: -2 }, 'logprobs: expected an integer of at least -1, found -2'],
    [{ logprobs: 21 }, 'logprobs: expected at most maxLogprobs, which is 20, found 21'],
    [
      { promptLogprobs: -1 },
      'promptLogprobs: expected at most 20; −1 (all) needs maxLogprobs −1, found -1',
    ],
    [{ logitBias: { 100: 1 } }, 'logitBias: expected token ids from 0 to 99, found 100'],
    [{ logitBias: { x: 1 } } as object, 'logitBias: expected token ids from 0 to 99, found "x"'],
    [{ logitBias: new Map([[-1, 1]]) }, 'logitBias: expected token ids from 0 to 99, found -1'],
    [{ logitBias: { 5: 101 } }, 'logitBias[5]: expected a number from -100 to 100, found 101'],
    [{ logitBias: { 5: NaN } }, 'logitBias[5]: expected a number from -100 to 100, found NaN'],
    [
      { allowedTokenIds: [] },
      'allowedTokenIds: expected at least one token id, found an empty array',
    ],
    [{ allowedTokenIds: [-1] }, 'allowedTokenIds[0]: expected an integer from 0 to 99, found -1'],
    [{ badWords: [''] }, 'badWords[0]: expected a string that is not empty, found ""'],
    [{ badWords: [' '] }, 'badWords[0]: expected a word that is not blank, found " "'],
    [{ priority: 0.5 }, 'priority: expected an integer, found 0.5'],
    [{ seed: 2 ** 53 }, 'seed: expected an integer, found 9007199254740992'],
    [{ seed: NaN }, 'seed: expected an integer, found NaN'],
  ])('%o', (options, message) => {
    expect(() => resolve(options)).toThrow(new RangeError(message))
  })

  test.each([{ stop: 'a' }, { badWords: ['a'] }])('%o without a tokenizer', (options) => {
    const [name] = Object.keys(options)
    expect(() => resolve(options, { hasTokenizer: false })).toThrow(
      new RangeError(
        `${name!}: expected none, as the engine has no tokenizer (skipTokenizerInit), found an array`,
      ),
    )
    expect(resolve({ stop: [], badWords: [] }, { hasTokenizer: false }).stop).toEqual([])
  })
})

describe('names', () => {
  test.each([
    ['topp', 'topP'],
    ['top_p', 'topP'],
    ['max_tokens', 'maxTokens'],
    ['maxtoken', 'maxTokens'],
    ['temprature', 'temperature'],
    ['frequency_penalty', 'frequencyPenalty'],
    ['stops', 'stop'],
    ['include_stop_str_in_output', 'includeStopStrInOutput'],
    ['beam_width', 'beamWidth'],
  ])('%s: did you mean %s?', (name, meant) => {
    expect(() => resolve({ [name]: 1 })).toThrow(
      new TypeError(`unknown sampling option "${name}"; did you mean ${meant}?`),
    )
  })

  test.each(['banana', 'x', ''])('%j resembles none', (name) => {
    expect(() => resolve({ [name]: 1 })).toThrow(
      new TypeError(`unknown sampling option ${JSON.stringify(name)}`),
    )
  })

  test.each(['logitsProcessor'])('%s has not landed', (name) => {
    expect(() => resolve({ [name]: 1 })).toThrow(
      new EngineError('not_supported', `${name} is not supported by this version`),
    )
  })
})

describe('beams', () => {
  test('are sequences that need no random numbers', () => {
    expect(
      resolve({ beamWidth: 4, n: 3, lengthPenalty: 0.5, earlyStopping: 'never' }),
    ).toMatchObject({
      beamWidth: 4,
      n: 3,
      bestOf: 4,
      temperature: 0,
      lengthPenalty: 0.5,
      earlyStopping: 'never',
    })
    expect(resolve({ beamWidth: 2 })).toMatchObject({
      ...{ n: 1, bestOf: 2, lengthPenalty: 1, earlyStopping: false },
    })
  })

  test.each<[object, string | RegExp]>([
    [{ beamWidth: 0 }, 'beamWidth: expected an integer of at least 1, found 0'],
    [{ beamWidth: 9 }, 'beamWidth: expected at most maxNumSeqs, which is 8, found 9'],
    [{ beamWidth: 2, n: 3 }, 'n: expected at most beamWidth, which is 2, found 3'],
    [{ beamWidth: 2, lengthPenalty: NaN }, 'lengthPenalty: expected a number, found NaN'],
    [{ beamWidth: 2, earlyStopping: 'x' }, /^earlyStopping: expected true, false or 'never'/],
    [{ beamWidth: 2, earlyStopping: 1 }, /^earlyStopping: expected true, false or 'never'/],
    [{ lengthPenalty: 1 }, 'lengthPenalty: expected none without beamWidth, found 1'],
    [{ earlyStopping: true }, 'earlyStopping: expected none without beamWidth, found true'],
    ...['bestOf', 'temperature', 'topP', 'topK', 'minP', 'seed', 'stop', 'badWords'].map(
      (name) =>
        [
          { beamWidth: 2, [name]: 1 },
          `${name}: expected none with beamWidth, as beam search draws no tokens, found 1`,
        ] satisfies [object, string],
    ),
  ])('%o is refused', (options, message) => {
    expect(() => resolve(options)).toThrow(message)
  })
})

test('any value gives parameters in range, or an error that names the option', () => {
  const value = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.constantFrom(NaN, Infinity, -0, null, true, '', 'x', [], {}, [1], ['x'], new Map()),
  )
  const names = Object.keys(resolve({})) as (keyof SamplingOptions)[]
  fc.assert(
    fc.property(fc.constantFrom(...names), value, (name, found) => {
      try {
        const params = resolve({ [name]: found })
        expect(params.bestOf).toBeGreaterThanOrEqual(params.n)
        expect(params.temperature).toBeGreaterThanOrEqual(0)
        expect(params.topP > 0 && params.topP <= 1).toBe(true)
        expect(Number.isSafeInteger(params.topK) && params.topK >= 0).toBe(true)
        expect(params.minTokens).toBeLessThanOrEqual(params.maxTokens!)
      } catch (error) {
        expect(error).toSatisfy((e) => e instanceof TypeError || e instanceof RangeError)
        expect((error as Error).message.startsWith(name)).toBe(true)
      }
    }),
    { numRuns: 2000 },
  )
})
