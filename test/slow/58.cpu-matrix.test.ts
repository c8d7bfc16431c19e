import { describe, expect, test } from 'vitest'
import { LLMEngine, type EngineOptions, type RequestOutput } from '../../lib/index.js'
import { loadAddon } from '../../lib/native/addon.js'
import { EXACT, greedyCases } from '../support/models.js'
import { pairsOf, turnsOf } from '../support/turns.js'

// Whole engines on every instruction set, with every form of the weights, under 1, 2 and 3 threads. Each
// set and form runs with one number of threads in company, in turn, so that every pair of the three is
// seen; with OCTAVO_FULL all three together. What a thread count and company may change is nothing at all.

const { instructionSets } = loadAddon()
const FORMS: Record<string, EngineOptions> = {
  float32: { dtype: 'float32' },
  bfloat16: { dtype: 'bfloat16' },
  float16: { dtype: 'float16' },
  int16: { matmulPrecision: 'int16' },
  int8: { quantization: 'int8' },
  int4: { quantization: 'int4' },
}
const THREADS = [1, 2, 3]
const full = process.env.OCTAVO_FULL !== undefined
const turns = turnsOf(instructionSets, Object.keys(FORMS), THREADS, full)

// Instruction sets add in different orders, which moves a logit by some 1e-5. Where inputs are
// quantised, a number that lies between two codes may become either of them: half of 1/127 of a group's
// largest input, which moves log-probabilities of this small model by some 1e-2; of words by half of 1/4095, some 1e-3.
const TOLERANCE: Record<string, number> = { int16: 5e-3, int8: 0.1, int4: 0.1 }
const FLOAT_TOLERANCE = 1e-3

const prompts = greedyCases('demo.json').map(({ prompt }) => prompt)

function traceOf({ outputs: [output], promptLogprobs, promptTokenIds }: RequestOutput) {
  const scored = promptTokenIds.map((id, i) => promptLogprobs?.[i]?.get(id)?.logprob ?? 0)
  return { tokenIds: output!.tokenIds, logprobs: output!.logprobs, scored }
}

/** Outputs of all prompts at once, or one after another. */
async function run(isa: string, form: string, threads: number, together: boolean) {
  const options = { ...EXACT, ...FORMS[form], isa: isa as EngineOptions['isa'], threads }
  const engine = await LLMEngine.load('demo', { ...options, enablePrefixCaching: false })
  const params = { maxTokens: 16, temperature: 0, ignoreEos: true, logprobs: 1, promptLogprobs: 0 }
  const outputs: RequestOutput[] = []
  if (together) outputs.push(...(await engine.generate(prompts, params)))
  else for (const prompt of prompts) outputs.push(...(await engine.generate(prompt, params)))
  engine.checkIntegrity()
  await engine.close()
  return outputs.map(traceOf)
}

test('every pair of instruction set, form and number of threads is seen', () => {
  const [sets, forms, threads] = [instructionSets.length, Object.keys(FORMS).length, THREADS.length]
  expect(pairsOf(turns)).toEqual([sets * forms, sets * threads, forms * threads])
})

describe.each(Object.keys(FORMS))('weights as %s', (form) => {
  const portable = run('portable', form, 1, true)

  test.each(instructionSets)('on %s', async (isa) => {
    const alone = await run(isa, form, 1, false)
    const counts = turns
      .filter((turn) => turn[0] === isa && turn[1] === form)
      .map((turn) => turn[2])
    for (const threads of counts) expect(await run(isa, form, threads, true)).toEqual(alone)
    const expected = await portable
    for (const { scored } of alone) expect(Math.max(...scored.slice(1))).toBeLessThan(0)
    alone.forEach(({ scored }, k) =>
      scored.forEach((logprob, position) => {
        const apart = Math.abs(logprob - expected[k]!.scored[position]!)
        expect(apart).toBeLessThan(TOLERANCE[form] ?? FLOAT_TOLERANCE)
      }),
    )
  })
})
