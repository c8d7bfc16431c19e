import { describe, expect, test } from 'vitest'
import {
  chooseGguf,
  ggufModels,
  type GgufWish,
  preferredTags,
  wholeGgufModels,
} from '../lib/weights/gguf-choice.js'

const PLACE = 'org/tiny'
const choose = (paths: readonly string[], wish?: GgufWish) =>
  chooseGguf(PLACE, ggufModels(paths), wish)

describe('models among files', () => {
  test('are neither projectors nor importance matrices', () => {
    const models = ['a-Q4_K_M-imatrix.gguf', 'b.gguf']
    const others = ['mmproj-F16.gguf', 'b.mmproj-q8_0.gguf', 'imatrix.gguf', 'b.imatrix.gguf']
    expect(ggufModels([...others, ...models, 'config.json', 'c.gguf.part1of2'])).toEqual(models)
  })

  test('are their first part where they are split, and whole where no part is missing', () => {
    const paths = [2, 1, 3].map((i) => `Q8_0/a-Q8_0-0000${i}-of-00003.gguf`)
    expect(ggufModels(paths)).toEqual([paths[1]])
    expect(wholeGgufModels(paths)).toEqual([paths[1]])
    expect(wholeGgufModels(paths.slice(0, 2))).toEqual([])
  })
})

describe('a tag', () => {
  test.each<[string, string, readonly string[]]>([
    ['Q4_K_M', 'a-Q4_K_M.gguf', ['a-Q4_K_S.gguf', 'a-Q4_0.gguf']],
    ['q4_k_m', 'a.Q4_K_M.gguf', ['a.Q4_K_L.gguf']],
    ['Q4_K_M', 'a-q4_k_m.gguf', ['a-q4_k_s.gguf']],
    ['Q4_K', 'a_Q4_K.gguf', ['a_Q4_K_M.gguf', 'a_IQ4_K.gguf']],
    ['Q4_0', 'a-Q4_0.gguf', ['a-Q4_0_4_4.gguf', 'a-Q4_0_8_8.gguf']],
    ['F16', 'a-F16.gguf', ['a-BF16.gguf', 'F16x-Q8_0.gguf']],
    ['Q4_K_M', 'a.i1-Q4_K_M.gguf', ['a.i1-Q4_K_S.gguf']],
    ['Q4_K_XL', 'a-Q4_K_XL.gguf', ['a-UD-Q4_K_XL.gguf']],
    ['UD-Q4_K_XL', 'a-UD-Q4_K_XL.gguf', ['a-Q4_K_XL.gguf']],
    ['Q4_K_XL', 'a-UD-Q4_K_XL.gguf', ['a-UD-Q2_K_XL.gguf']],
    ['Q8_0', 'Q8_0/a-00001-of-00002.gguf', ['BF16/a-00001-of-00002.gguf']],
    ['q4', 'Phi-3-mini-4k-instruct-q4.gguf', ['Phi-3-mini-4k-instruct-fp16.gguf']],
    ['v1.5-Q8_0', 'a-v1.5-Q8_0.gguf', ['a-v1x5-Q8_0.gguf']],
  ])('%s is %s', (tag, model, others) => {
    expect(choose([...others, model], { tag })).toBe(model)
  })
})

test('a path is that of a file, or of any part', () => {
  const paths = [1, 2].map((i) => `b/a-0000${i}-of-00002.gguf`)
  expect(choose([...paths, 'a.gguf'], { file: 'a.gguf' })).toBe('a.gguf')
  expect(choose([...paths, 'a.gguf'], { file: paths[1]! })).toBe(paths[0])
})

describe('without a wish', () => {
  test('it is the only file, whatever its name', () => {
    expect(choose(['model.gguf', 'mmproj.gguf'])).toBe('model.gguf')
  })

  test('it is the first of the preferred types, which are computed', () => {
    const paths = preferredTags.map((tag) => `tiny-${tag.toLowerCase()}.gguf`)
    paths.forEach((path, i) => {
      expect(choose([...paths.slice(i).toReversed(), 'tiny-IQ2_M.gguf', 'x.gguf'])).toBe(path)
    })
    expect(preferredTags.slice(0, 2)).toEqual(['Q4_K_M', 'Q4_0'])
  })
})

test.each([
  'a-UD-Q8_K_XL.gguf',
  'UD-Q8_K_XL/a-UD-Q8_K_XL-00001-of-00002.gguf',
  'Qwen-Q1_test-model-Q4_K_M.gguf',
  'Qwen_q1_test_model_q4_k_m.gguf',
  'IQ1_S/a-Q8_0.gguf',
])('the type of %s is computed', (path) => {
  expect(choose([path])).toBe(path)
})

describe('errors', () => {
  const THREE = ['a-Q4_K_M.gguf', 'a-IQ2_M.gguf', 'b-Q4_K_M.gguf']
  const facts =
    ': there are a-IQ2_M.gguf, a-Q4_K_M.gguf, b-Q4_K_M.gguf; types that are computed: F32, F16, BF16, Q4_0,'

  test.each<[string, readonly string[], GgufWish, string]>([
    ['no such tag', THREE, { tag: 'Q8_0' }, `org/tiny has no GGUF file Q8_0${facts}`],
    ['no such file', THREE, { file: 'c.gguf' }, `org/tiny has no GGUF file c.gguf${facts}`],
    ['no file at all', ['mmproj.gguf'], { tag: 'Q8_0' }, 'org/tiny has no GGUF file Q8_0'],
    [
      'several with the tag',
      THREE,
      { tag: 'Q4_K_M' },
      `org/tiny has 2 GGUF files Q4_K_M; name one of them${facts}`,
    ],
    ['several', ['a.gguf', 'b.gguf'], {}, 'org/tiny has 2 GGUF files; name one of them: there are'],
    ['two that are preferred', THREE, {}, 'org/tiny has 2 GGUF files; name one of them: there are'],
  ])('%s', (_, paths, wish, message) => {
    expect(() => choose(paths, wish)).toThrow(message)
    expect(() => choose(paths, wish)).toThrow(
      expect.objectContaining({ code: 'model_not_found' }) as Error,
    )
  })

  test.each(['IQ2_M', 'IQ1_S', 'IQ3_XXS', 'TQ1_0', 'Q4_0_4_4', 'Q8_K_R8'])(
    '%s is not computed',
    (tag) => {
      const path = `a-${tag}.gguf`
      for (const wish of [{ tag }, { file: path }, {}])
        expect(() => choose([path], wish)).toThrow(
          expect.objectContaining({
            code: 'unsupported_model',
            message: expect.stringContaining(
              `org/tiny: ${tag} is not computed: there are ${path};`,
            ) as string,
          }) as Error,
        )
    },
  )
})
