import { describe, expect, it } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../lib/index.js'
import { expectLogprobs } from './support/expect-logprobs.js'
import { EXACT, modelReference } from './support/models.js'

const reference = modelReference('phi3-longrope')
/** The model's original length; prompts have 1, 7 and 37 tokens. */
const ORIGINAL = 32
const long = reference.prompts.at(-1)!

async function generate(
  prompt: readonly number[],
  options: EngineOptions,
  maxTokens = 24,
): Promise<RequestOutput> {
  const given = { ...EXACT, maxLogprobs: -1, skipTokenizerInit: true, ...options }
  await using engine = await LLMEngine.load(reference.folder, given)
  const wanted = { promptLogprobs: -1, logprobs: -1, temperature: 0, ignoreEos: true, maxTokens }
  const [output] = await engine.generate({ promptTokenIds: prompt }, wanted)
  engine.checkIntegrity()
  return output!
}

/** Log-probabilities at every position of the prompt, then of the output. */
function rowsOf({ promptLogprobs, outputs }: RequestOutput) {
  return [...promptLogprobs!.slice(1), ...outputs[0]!.logprobs!].map((row) => row!)
}

describe('a longrope model', () => {
  it('takes its long factors where it serves more than the original length', async () => {
    const output = await generate(long, {})
    const vocab = reference.allLogits.length / long.length
    rowsOf(output)
      .slice(0, long.length)
      .forEach((row, i) =>
        expectLogprobs(row, reference.allLogits.subarray(i * vocab, (i + 1) * vocab)),
      )
    expect(output.outputs[0]!.tokenIds).toEqual(reference.greedy.at(-1))
  })

  it.each([0, 1])('takes its short factors where it serves no more: prompt %i', async (i) => {
    const output = await generate(reference.prompts[i]!, { maxModelLen: ORIGINAL })
    expectLogprobs(output.outputs[0]!.logprobs![0]!, reference.nextLogits[i]!)
    expect(output.outputs[0]!.tokenIds).toEqual(reference.greedy[i])
  })

  it('has bitwise the same numbers for a prompt in chunks that begin below that length', async () => {
    const whole = await generate(long, {})
    const chunked = await generate(long, { maxNumBatchedTokens: 16, maxNumSeqs: 16 })
    expect(rowsOf(chunked)).toEqual(rowsOf(whole))
  })

  it('has bitwise the same numbers for an output that grows past it as for a prompt', async () => {
    const prompt = long.slice(0, 20)
    const grown = await generate(prompt, {}, 24)
    const { tokenIds } = grown.outputs[0]!
    const given = await generate([...prompt, ...tokenIds.slice(0, -1)], {}, 1)
    expect(rowsOf(given)).toEqual(rowsOf(grown))
  })
})
