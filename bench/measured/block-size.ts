import { DecodeStep } from './decode-step.js'
import { measurePool } from './pool-use.js'
import { percent, printTable, writeJson } from './report.js'
import { drawTraffic } from './traffic.js'

const BLOCK_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256]
const SHAPES = [
  { batch: 8, context: 64 },
  { batch: 8, context: 256 },
  { batch: 32, context: 64 },
  { batch: 32, context: 128 },
  { batch: 32, context: 256 },
  { batch: 32, context: 1024 },
]
const ROUNDS = 41

/**
 * Least seconds of attention, for each block size and then for one block a sequence: what a step
 * takes beyond one that attends to a single token. The sizes take turns, so that all see the same machine.
 */
async function timeAttention({ batch, context }: (typeof SHAPES)[number]) {
  const sizes = [...BLOCK_SIZES.filter((size) => size < context), context]
  const empty = await DecodeStep.load(batch, 1, 1)
  const steps = await Promise.all(sizes.map((size) => DecodeStep.load(batch, context, size)))
  const all = [empty, ...steps]
  const times = all.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, step] of all.entries()) {
      await step.run() // caches are warm with this one's keys and values
      times[i]!.push(await step.run())
    }
  }
  for (const step of all) await step.close()
  const [base, ...seconds] = times.map((each) => Math.min(...each))
  return seconds.map((each, i) => ({ blockSize: sizes[i]!, seconds: each - base! }))
}

const attention = []
for (const shape of SHAPES) {
  const times = await timeAttention(shape)
  const contiguous = times.at(-1)!.seconds
  attention.push({ ...shape, contiguous, times: times.slice(0, -1) })
}
printTable('attention of 8 layers over pages: time beside one contiguous piece a sequence', [
  ['batch x context', 'contiguous', ...BLOCK_SIZES.map((size) => `B ${size}`)],
  ...attention.map(({ batch, context, contiguous, times }) => [
    `${batch} x ${context}`,
    `${(1e6 * contiguous).toFixed(0)} µs`,
    ...BLOCK_SIZES.map((size) => {
      const found = times.find(({ blockSize }) => blockSize === size)
      return found ? `${(found.seconds / contiguous).toFixed(2)} x` : ''
    }),
  ]),
])

const requests = drawTraffic('sharegpt', 150)
const pools = []
for (const blockSize of BLOCK_SIZES) {
  const use = await measurePool({ system: 'paging', poolSequences: 7, requests, blockSize })
  pools.push({ blockSize, ...use })
}
printTable("models/demo, ShareGPT's lengths, a pool of 7 sequences of 2,048 tokens", [
  ['block size', 'batch', 'tokens', 'wasted in blocks', 'tokens/s'],
  ...pools.map(({ blockSize, batch, tokenStates, internal, tokensPerSecond }) => [
    String(blockSize),
    batch.toFixed(1),
    percent(tokenStates),
    percent(internal),
    tokensPerSecond.toFixed(0),
  ]),
])
writeJson('block-size', { attention, pools })
