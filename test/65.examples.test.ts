import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root, succeed } from './support/commands.js'

const fox = 'Once upon a time, there was a curious boy named Finn.'

/** What each example prints. */
const EXPECTED: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  'quickstart.mjs': [
    'model demo · cpu',
    /^Once upon a time.{40}/m,
    /^The capital of France is Paris\.$/m,
    /^\d+ tokens · \d+ tokens\/s$/m,
    /^Together \d+ tokens in [\d.]+ s and \d+ steps: \d+ tokens\/s$/m,
    /^Cache use: at most \d+ blocks of 16 tokens, [\d.]+ % of \d+$/m,
  ],
  'quickstart.cjs': [/^The capital of France is Paris\.$/m],
  'streaming.mjs': [fox, '(finished: stop)'],
  'chat.mjs': [
    'model: The capital of France is Paris.',
    'model: In Spanish you say Hola.',
    '(16 of 40 prompt tokens cached)',
  ],
  'batch.mjs': ['Japan: The capital of Japan is Tokyo.', '5 of 5 requests answered'],
  'parallel-sampling.mjs': [/^3\. One sunny day/m, 'prompt tokens computed: 6, for 3 outputs'],
  'abort.mjs': [
    'generate: TimeoutError',
    /^stream: left after ".+"$/m,
    'step: abort after 5 tokens',
    'blocks in use: 0',
  ],
  'step-api.mjs': [
    'step 1: story 1 tokens, fact 1 tokens',
    'fact stop',
    'The capital of Egypt is Cairo.',
    'step 12: story length',
  ],
  'ai-sdk.mjs': [/cat/],
  'embeddings.mjs': [
    /^The dog is hungry\. 0\.\d\d$/m,
    /^What is the capital of France\? 0\.\d\d$/m,
  ],
  'logprobs.mjs': [/^" blue" +\d/m, /^log-probability of the whole: -\d/m],
}

test('every example is expected something of', () => {
  expect(
    readdirSync(join(root, 'examples'))
      .filter((name) => name.endsWith('js'))
      .sort(),
  ).toEqual(Object.keys(EXPECTED).sort())
})

test.each(Object.keys(EXPECTED))('%s', (name) => {
  const env = { ...process.env, NO_COLOR: '1' }
  const stdout = succeed(process.execPath, [join(root, 'examples', name)], { env })
  for (const expected of EXPECTED[name]!) {
    if (typeof expected === 'string') expect(stdout).toContain(expected)
    else expect(stdout).toMatch(expected)
  }
})
