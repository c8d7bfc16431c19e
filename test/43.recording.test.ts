import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from './support/commands.js'
import { FIXTURES } from './support/models.js'

/** OCTAVO_RECORD=1 writes it anew, where the step format or the toy's steps have changed. */
const FIXTURE = join(FIXTURES, 'recordings/toy')

let folder: string
let again: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-recording-'))
  again = process.env.OCTAVO_RECORD === '1' ? FIXTURE : join(folder, 'toy')
  const program = join(folder, 'record.mjs')
  await build({
    entryPoints: [join(root, 'test/support/record-toy.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  })
  const OCTAVO_ADDON = join(root, 'scripts/lib/recording-addon.cjs')
  const env = { ...process.env, OCTAVO_ADDON, OCTAVO_RECORDING: again }
  execFileSync(process.execPath, [program], { cwd: root, env, stdio: 'inherit' })
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The recorded steps: the integers that went in and came out exactly, the floats apart. */
function read(recording: string) {
  const bytes = readFileSync(join(recording, 'events.bin'))
  const words = new Int32Array(
    bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
  )
  const numbers = new Float32Array(words.buffer)
  const integers: Int32Array[] = []
  const logprobs: Float32Array[] = []
  let at = 0
  const take = (count: number) => (at += count) - count
  while (at < words.length) {
    if (words[at++] === 1) {
      const copies = words[at++]! * 5
      integers.push(words.subarray(take(copies), at))
      continue
    }
    const [ints, floats, resultInts, resultFloats] = words.subarray(take(4), at)
    integers.push(words.subarray(take(ints!), at))
    logprobs.push(numbers.subarray(take(floats!), at))
    integers.push(words.subarray(take(resultInts!), at))
    logprobs.push(numbers.subarray(take(resultFloats!) + 1, at)) // the first is a time
  }
  return { integers, logprobs: logprobs.flatMap((row) => [...row]) }
}

describe('a recording', () => {
  it('holds the plan, the pool and the weights', () => {
    for (const file of ['plan.txt', 'recording.txt']) {
      expect(readFileSync(join(again, file), 'utf8')).toBe(
        readFileSync(join(FIXTURE, file), 'utf8'),
      )
    }
    expect(readFileSync(join(again, 'recording.txt'), 'utf8')).toBe(
      'octavo-recording 1\npool blockSize=16 numBlocks=16 hostBlocks=4\ndummy seed=3\n',
    )
  })

  it('gives on this machine what it gave on another', () => {
    const now = read(again)
    const then = read(FIXTURE)
    expect(now.integers).toEqual(then.integers)
    expect(now.logprobs).toHaveLength(then.logprobs.length)
    // Log-probabilities differ by the order of sums of the instruction sets: a few float32 ulps of 5.
    now.logprobs.forEach((logprob, i) => {
      if (Number.isNaN(then.logprobs[i])) expect(logprob).toBeNaN()
      else expect(Math.abs(logprob - then.logprobs[i]!)).toBeLessThan(1e-5)
    })
  })
})
