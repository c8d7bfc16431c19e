import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { writeSection } from '../bench/markdown.mjs'
import { contextSeries } from '../bench/peers/context.mjs'
import { accuracyOf, cellsOf, readResults, roundsOf, rowsOf } from '../bench/peers/results.mjs'
import { chunksOf } from '../bench/text.mjs'
import { LLMEngine } from '../lib/index.js'
import { root } from './support/commands.js'

interface Series {
  readonly points: readonly unknown[]
  readonly slope: number
  readonly bytesPerSecond: number
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-peers-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

const engines = ['octavo', 'node-llama-cpp', 'openvino-genai']
const found = (engine: string, name: string, value: number | null, bits = 4) => ({
  ...{ engine, bits, case: name, value },
})

describe('what was measured beside the peers', () => {
  test('is read as medians, and ratios to the better peer', () => {
    const results = [
      found('octavo', 'single', 30),
      found('octavo', 'single', 50),
      found('octavo', 'single', 31),
      found('node-llama-cpp', 'single', 10),
      found('openvino-genai', 'single', 20),
      found('octavo', 'load', 300),
      found('node-llama-cpp', 'load', 600),
      found('openvino-genai', 'load', null),
    ]
    const [single, load] = rowsOf(results, engines)
    expect(single).toMatchObject({ name: 'single', rounds: { octavo: 3 }, ratio: 31 / 20 })
    expect(load).toMatchObject({ name: 'load', ratio: 2, medians: { octavo: 300 } })
  })

  test('says how many rounds each engine had', () => {
    const round = engines.map((engine) => found(engine, 'single', 1))
    const words = (results: readonly object[]) => roundsOf(rowsOf(results, engines), engines)
    expect(words(round)).toBe('one round')
    expect(words([...round, ...round])).toBe('medians of 2 rounds')
    const more = [...round, found('octavo', 'load', 1), found('octavo', 'load', 2)]
    expect(words(more)).toMatch(
      /^medians of rounds, 1 to 2 of octavo, 1 of node-llama-cpp, 1 of openvino-genai; /,
    )
  })

  test('is listed by width, kind and number, in whatever order it was measured', () => {
    const measured = ['batch:32', 'load', 'batch:8', 'single', 'prefill']
    const results = measured.map((name) => found('octavo', name, 1))
    const rows = rowsOf([found('octavo', 'single', 1, 8), ...results], engines)
    const listed = rows.map(({ bits, name }) => `${bits} ${name}`).join(', ')
    expect(listed).toBe('4 single, 4 prefill, 4 batch:8, 4 batch:32, 4 load, 8 single')
  })

  test('is shown with a dash where an engine failed, and nothing where it was not asked', () => {
    const results = [found('octavo', 'single', 30), found('openvino-genai', 'single', null)]
    const [row] = rowsOf(results, engines)
    expect(cellsOf(row!, ['octavo', 'node-llama-cpp', 'openvino-genai'])).toEqual([
      '4',
      'single',
      '30',
      '',
      '–',
      '–',
    ])
  })

  test('leaves out what another build of Octavo gave, but keeps the peers', () => {
    const file = join(folder, 'results.jsonl')
    const lines = [
      { ...found('octavo', 'single', 1), build: 'old' },
      { ...found('octavo', 'single', 2), build: 'new' },
      found('node-llama-cpp', 'single', 3),
    ]
    writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    expect(readResults(file, 'new')).toMatchObject([{ value: 2 }, { value: 3 }])
    expect(readResults(join(folder, 'none.jsonl'), 'new')).toEqual([])
  })

  test('has of each engine the accuracy over most tokens', () => {
    const results = [
      found('octavo', 'accuracy:1500', 0.1),
      found('octavo', 'accuracy:20000', 0.2),
      found('openvino-genai', 'accuracy:1500', null),
    ]
    expect(accuracyOf(results)).toMatchObject([{ engine: 'octavo', tokens: 20000, value: 0.2 }])
  })

  test('gives the slope of time against context, and the bytes a second that it means', () => {
    const rows = [128, 1024, 4096].map((length) => ({
      ...{ bits: 4, name: `context:${length}`, rounds: 1, ratio: 1 },
      medians: { octavo: 1e6 / (1000 + 0.5 * (length + 32)) },
    }))
    const series = contextSeries(rows, ['octavo'], 'demo')[0] as Series
    expect(series.points).toHaveLength(3)
    expect(series.slope).toBeCloseTo(0.5, 6)
    // models/demo: keys and values of 5 layers, 2 heads of 32 numbers, of 2 bytes
    expect(series.bytesPerSecond).toBeCloseTo((5 * 2 * 2 * 32 * 2) / 0.5e-6, 0)
  })

  test('goes between the marks of a page', async () => {
    const page = join(folder, 'page.md')
    writeFileSync(page, '# Page\n\n<!-- x -->\n\nold\n\n<!-- end of x -->\n\nrest\n')
    await writeSection(page, 'x', 'new')
    expect(readFileSync(page, 'utf8')).toBe(
      '# Page\n\n<!-- x -->\n\nnew\n\n<!-- end of x -->\n\nrest\n',
    )
    await expect(writeSection(page, 'y', 'new')).rejects.toThrow('expected <!-- y -->')
  })
})

test('accuracy is measured on chunks of 500 tokens and the one after them', async () => {
  const engine = await LLMEngine.load('demo', { threads: 1, log: false })
  const chunks = (await chunksOf(engine, 1200)) as number[][]
  expect(chunks.map((chunk) => chunk.length)).toEqual([501, 501, 201])
  const more = (await chunksOf(engine, 1201)) as number[][]
  expect(more.flat().slice(0, 1203)).toEqual(chunks.flat())
  await expect(chunksOf(engine, 1e6)).rejects.toThrow(/pages\.txt has \d+ to score, found 1000000/)
  await engine.close()
})

test("Octavo's distributions are whole, and those of promptLogprobs", async () => {
  const text = join(folder, 'text.json')
  const chunks = [
    [5, 6, 7, 8, 9],
    [100, 200, 300],
  ]
  writeFileSync(text, JSON.stringify(chunks))
  const script = join(root, 'bench/peers/octavo-logits.mjs')
  const { status, stderr, output } = spawnSync(process.execPath, [script, 'demo', text], {
    env: { ...process.env, BENCH_THREADS: '1', BENCH_ISA: 'auto' },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
  })
  expect(status, String(stderr)).toBe(0)
  const bytes = output[3] as unknown as Buffer
  const numbers = new Float32Array(new Uint8Array(bytes).buffer)
  const vocabulary = numbers.length / 6 // positions that have a token after them
  const engine = await LLMEngine.load('demo', { threads: 1, log: false })
  let row = 0
  for (const promptTokenIds of chunks) {
    const [reply] = await engine.generate([{ promptTokenIds }], { maxTokens: 1, promptLogprobs: 1 })
    for (const [i, choices] of reply!.promptLogprobs!.slice(1).entries()) {
      const logprobs = numbers.subarray(row * vocabulary, ++row * vocabulary)
      expect(logprobs.reduce((sum, x) => sum + Math.exp(x), 0)).toBeCloseTo(1, 4)
      const target = promptTokenIds[i + 1]!
      expect(logprobs[target]).toBe(choices!.get(target)!.logprob)
    }
  }
  await engine.close()
})
