import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LLMEngine, type CompletionOutput, type EngineOptions } from '../lib/index.js'
import { compileGrammar } from '../lib/structured/compile.js'
import { Matcher } from '../lib/structured/matcher.js'
import { checkStructuredOutputs } from '../lib/structured/spec.js'
import { tokenBytesOf } from '../lib/structured/token-bytes.js'
import { TokenTrie } from '../lib/structured/token-trie.js'
import { Tokenizer } from '../lib/text/tokenizer.js'
import { randomNumbers, randomSchema } from './support/random-schema.js'

const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    tags: { type: 'array', items: { enum: ['a', 'b'] }, maxItems: 3 },
  },
  required: ['name', 'age', 'tags'],
}

const ajv = new Ajv2020({ strict: false, validateFormats: false })

function isValid(schema: object, text: string): boolean {
  return ajv.validate(schema, JSON.parse(text))
}

/** Whether a text, perhaps cut within its last character, may still become one that the schema allows. */
function isPrefix(schema: object, text: string): boolean {
  const recognizer = compileGrammar(checkStructuredOutputs({ json: schema })!)
  let state: typeof recognizer.start | null = recognizer.start
  for (const byte of Buffer.from(text.replace(/\ufffd$/, '')))
    state = state && recognizer.step(state, byte)
  return state !== null
}

const small: EngineOptions = { log: false, maxModelLen: 512 }
let engine: LLMEngine
beforeAll(async () => {
  engine = await LLMEngine.load('demo', small)
})
afterAll(() => engine.close())

describe('structured outputs', () => {
  it('are valid where they end, and beginnings of valid ones where they are cut', async () => {
    const random = randomNumbers(11)
    const schemas = Array.from({ length: 200 }, (_, i) => randomSchema(random, i % 2 === 0))
    const bounded = schemas.map((_, i) => i % 2 === 0)
    const outputs = await engine.generate(
      schemas.map(() => 'Some JSON: '),
      schemas.map((json, i) => ({
        structuredOutputs: { json },
        maxTokens: bounded[i] ? 450 : 60,
        temperature: 1,
        seed: i,
      })),
    )
    const reasons = outputs.map(({ outputs: [output] }, i) => {
      const { text, finishReason } = output!
      const schema = schemas[i]!
      const right = finishReason === 'stop' ? isValid(schema, text) : isPrefix(schema, text)
      expect([i, schema, text, right]).toEqual([i, schema, text, true])
      return finishReason
    })
    expect(reasons.filter((_, i) => bounded[i])).toEqual(
      reasons.filter((_, i) => bounded[i]).map(() => 'stop'),
    )
    expect(reasons.filter((reason) => reason !== 'stop' && reason !== 'length')).toEqual([])
    expect(engine.stats().usedBlocks).toBe(0)
    engine.checkIntegrity()
  })

  it('come in several, with logprobs, and the same alone as beside others', async () => {
    const params = {
      structuredOutputs: { json: PERSON },
      n: 3,
      maxTokens: 200,
      seed: 5,
      logprobs: 2,
    }
    const [alone] = await engine.generate('A person: ', params)
    const [again] = await engine.generate(
      ['A person: ', 'Once', 'The cat'],
      [params, {}, { maxTokens: 50 }],
    )
    expect(alone!.outputs.map(({ text }) => isValid(PERSON, text))).toEqual([true, true, true])
    expect(texts(again!.outputs)).toEqual(texts(alone!.outputs))
    for (const { tokenIds, logprobs } of alone!.outputs) {
      expect(logprobs).toHaveLength(tokenIds.length)
      expect(tokenIds.every((id, i) => logprobs![i]!.has(id))).toBe(true)
    }
  })

  it.each([
    ['recompute', {}],
    ['swap', { swapSpace: 0.01 }],
  ] as const)('survive preemption by %s', async (preemptionMode, more) => {
    const params = { structuredOutputs: { json: PERSON }, n: 2, maxTokens: 160, seed: 9 }
    const prompts = Array.from({ length: 6 }, (_, i) => `Person number ${i}: `)
    const wide = await engine.generate(prompts, params)
    const tight = await LLMEngine.load('demo', {
      ...{
        ...small,
        numGpuBlocksOverride: 20,
        preemptionMode,
        enablePrefixCaching: false,
        ...more,
      },
    })
    const narrow = await tight.generate(prompts, params)
    const { preemptions } = tight.stats()
    tight.checkIntegrity()
    await tight.close()
    expect(preemptions).toBeGreaterThan(0)
    expect(narrow.map(({ outputs }) => texts(outputs))).toEqual(
      wide.map(({ outputs }) => texts(outputs)),
    )
  })

  it('end at a stop string', async () => {
    const params = { structuredOutputs: { choice: ['one, two, three'] }, stop: 'two' }
    const [output] = await engine.generate('Count: ', params)
    expect(output!.outputs[0]).toMatchObject({
      text: 'one, ',
      finishReason: 'stop',
      stopReason: 'two',
    })
  })

  it('stream', async () => {
    let text = ''
    for await (const delta of engine.stream('Say ', { structuredOutputs: { regex: '(ab){5}' } })) {
      text += delta.text
    }
    expect(text).toBe('ababababab')
  })

  it('fail where no token is left, alone', async () => {
    const structuredOutputs = { choice: ['xyz'] }
    const tokenizer = await Tokenizer.load('models/demo')
    const allowedTokenIds = [tokenizer.encode('Hello')[0]!]
    const good = engine.generate('a', { structuredOutputs })
    const bad = engine.generate('b', { structuredOutputs, allowedTokenIds })
    await expect(bad).rejects.toThrow(/no token may follow/)
    expect((await good)[0]!.outputs[0]!.text).toBe('xyz')
    await tokenizer.close()
  })

  it.each([
    [{ regex: '(' }, {}, /structuredOutputs.regex: Invalid regular expression/],
    [{ choice: ['a'] }, { beamWidth: 2 }, /structuredOutputs: expected none with beamWidth/],
    [{ choice: ['a'] }, { ignoreEos: true }, /ignoreEos: expected none with structuredOutputs/],
    [{ choice: ['a'] }, { minTokens: 3 }, /minTokens: expected none with structuredOutputs/],
  ])('refuse %j with %j', async (structuredOutputs, more, message) => {
    await expect(engine.generate('a', { structuredOutputs, ...more })).rejects.toThrow(message)
  })

  it('need a tokenizer', async () => {
    const blind = await LLMEngine.load('demo', { ...small, skipTokenizerInit: true })
    const request = blind.generate(
      { promptTokenIds: [1] },
      { structuredOutputs: { choice: ['a'] } },
    )
    await expect(request).rejects.toThrow(
      /structuredOutputs: expected none, as the engine has no tokenizer/,
    )
    await blind.close()
  })

  it('are forgotten when a request is aborted or the engine closed', async () => {
    const other = await LLMEngine.load('demo', small)
    const structuredOutputs = { regex: 'a{5000}' } // longer than any output
    other.addRequest('gone', 'x', { structuredOutputs })
    other.abort('gone')
    const [gone, ...others] = await other.step()
    expect([gone?.requestId, gone?.outputs[0]?.finishReason]).toEqual(['gone', 'abort'])
    expect(others).toEqual([])
    expect(await other.step()).toEqual([])
    const stop = new AbortController()
    const aborted = other.generate(
      'x',
      { structuredOutputs, maxTokens: 400 },
      { signal: stop.signal },
    )
    setTimeout(() => stop.abort(new Error('enough')), 20)
    await expect(aborted).rejects.toThrow('enough')
    const cut = other.generate('x', { structuredOutputs, maxTokens: 400 })
    const refused = expect(cut).rejects.toThrow(/closed/)
    await other.close()
    await refused
  })
})

describe('a matcher', () => {
  it('accepts, masks and takes back', async () => {
    const tokenizer = await Tokenizer.load('models/demo')
    const end = tokenizer.eosTokenId!
    const trie = new TokenTrie(tokenBytesOf(tokenizer, tokenizer.vocabSize, [end]))
    const recognizer = compileGrammar(checkStructuredOutputs({ regex: 'a(bc)*' })!)
    const matcher = new Matcher(recognizer, trie)
    const allowed = () => {
      const mask = matcher.mask()!
      return Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
        .filter((id) => ((mask[id >> 5]! >>> (id & 31)) & 1) === 1)
        .map((id) => (id === end ? 'END' : tokenizer.tokenText(id)))
    }
    const [a] = tokenizer.pieces.has(end)
      ? [...tokenizer.encode('a', { addSpecialTokens: false })]
      : []
    const before = allowed()
    expect(before.every((text) => /^a(bc)*b?$/.test(text))).toBe(true)
    expect(before).not.toContain('END')
    expect(matcher.accept(tokenIdOf(tokenizer, 'a') ?? a!)).toBe(true)
    expect(allowed()).toContain('END')
    expect(matcher.accept(tokenIdOf(tokenizer, 'z')!)).toBe(false)
    expect(matcher.mask()).toBeNull()
    matcher.rollback(2)
    expect(allowed()).toEqual(before)
    await tokenizer.close()
  })

  it('takes back a token at which its grammar is too ambiguous', () => {
    const rules = Array.from({ length: 17 }, (_, i) => `r${i} ::= r${i + 1} "x" | r${i + 1} "y"`)
    const grammar = ['root ::= "a" "b" r0 | "ac"', ...rules, 'r17 ::= "z"'].join('\n')
    const bytes = Buffer.from('abc')
    const trie = new TokenTrie({ bytes, starts: Int32Array.of(0, 1, 2, 3), endTokenIds: [] })
    const matcher = new Matcher(compileGrammar(checkStructuredOutputs({ grammar })!), trie)
    const before = matcher.mask()
    expect(matcher.accept(0)).toBe(true)
    expect(() => matcher.accept(1)).toThrow('too ambiguous')
    expect([matcher.accept(2), matcher.mask()]).toEqual([false, null])
    matcher.rollback(2)
    expect(matcher.accept(2)).toBe(true)
    matcher.rollback(2)
    expect(matcher.mask()).toEqual(before)
  })
})

function tokenIdOf(tokenizer: Tokenizer, text: string): number | undefined {
  return Array.from({ length: tokenizer.vocabSize }, (_, id) => id).find(
    (id) => !tokenizer.pieces.isSpecial(id) && tokenizer.pieces.piece(id).text === text,
  )
}

function texts(outputs: readonly CompletionOutput[]): string[] {
  return outputs.map(({ text }) => text)
}
