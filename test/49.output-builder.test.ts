import { describe, expect, test } from 'vitest'
import { OutputBuilder, type Ending } from '../lib/engine/output-builder.js'
import type { SamplingOptions } from '../lib/index.js'
import { Detokenizer } from '../lib/text/detokenizer.js'
import { StopMatcher } from '../lib/text/stop-strings.js'
import { resolveSamplingParams } from '../lib/engine/check-sampling.js'
import { loadFixture } from './helpers/tokenizers.js'

const { tokenizer } = loadFixture('gpt2')
const EOS = 2
const limits = {
  vocabSize: tokenizer.vocabSize,
  maxLogprobs: 20,
  maxNumSeqs: 8,
  hasTokenizer: true,
  defaultMaxTokens: 16,
}
/** Characters of two, three and four bytes, which tokens cut anywhere; 32 tokens and more. */
const TEXT = 'Once upon a time Zoë ate 37 crêpes, 日本語 and 🙂🙃: '.repeat(6)
const ids = [...tokenizer.encode(TEXT, { addSpecialTokens: false })]

function build(options: SamplingOptions = {}) {
  const params = resolveSamplingParams({ maxTokens: 4096, ...options }, limits)
  return new OutputBuilder({
    ...{ requestId: 'a', index: 0, params, eosTokenIds: [EOS], maxTokens: 4096 },
    detokenizer: new Detokenizer(tokenizer.pieces),
    stopMatcher: params.stop.length > 0 ? new StopMatcher(params.stop) : null,
  })
}

/** Adds tokens up to the ending that one of them brings. */
function add(builder: OutputBuilder, tokens: readonly number[]): Ending | null {
  for (const id of tokens) {
    const ending = builder.push(id, NaN, () => new Map())
    if (ending !== null) return ending
  }
  return null
}

describe('the text of an output', () => {
  test('is long enough that tokens wait more than once', () =>
    expect(ids.length).toBeGreaterThan(70))

  test.each([1, 2, 31, 32, 33, ids.length])(
    'is the same when it is read every %i tokens',
    (every) => {
      const builder = build()
      let deltas = ''
      for (let at = 0; at < ids.length; at += every) {
        expect(add(builder, ids.slice(at, at + every))).toBeNull()
        deltas += builder.takeDelta()!.text
        expect(builder.completion.text).toBe(deltas)
      }
      builder.finish({ finishReason: 'abort', stopReason: null })
      expect(builder.completion.text).toBe(TEXT)
      expect(deltas + builder.takeDelta()!.text).toBe(TEXT)
      expect(builder.completion.tokenIds).toEqual(ids)
    },
  )

  test.each([0, 1, 40])(
    'goes without its end token after %i others that nobody has read',
    (count) => {
      const read = build()
      add(read, ids.slice(0, count))
      const builder = build()
      expect(add(builder, [...ids.slice(0, count), EOS])).toEqual({
        finishReason: 'stop',
        stopReason: null,
      })
      expect(builder.completion.text.startsWith(read.completion.text)).toBe(true)
      expect(builder.completion.tokenIds).toEqual([...ids.slice(0, count), EOS])
      expect(builder.completion.text).not.toContain(tokenizer.tokenText(EOS))
    },
  )

  test('shows a stop token that it is asked to show', () => {
    const stop = ids[2]!
    const asked = { stopTokenIds: [stop], includeStopStrInOutput: true }
    const builder = build(asked)
    expect(add(builder, ids)).toEqual({ finishReason: 'stop', stopReason: stop })
    const hidden = build({ ...asked, includeStopStrInOutput: false })
    add(hidden, ids)
    expect(hidden.completion.tokenIds).toEqual(builder.completion.tokenIds)
    expect(hidden.completion.text.length).toBeLessThan(builder.completion.text.length)
    expect(TEXT.startsWith(builder.completion.text)).toBe(true)
  })

  test('ends with the token that completes a stop string, though nobody has read it', () => {
    const builder = build({ stop: ['crêpes'] })
    expect(add(builder, ids)).toEqual({ finishReason: 'stop', stopReason: 'crêpes' })
    expect(builder.completion.text).toBe('Once upon a time Zoë ate 37 ')
    expect(builder.completion.tokenIds.length).toBeLessThan(ids.length / 4)
  })
})
