import { LLMEngine } from '../../lib/index.js'
import { median } from '../statistics.mjs'
import { printTable, writeJson } from './report.js'

const PREFIX = 1000
const REQUESTS = 32
const MORE = 16
const FIRST_TOKENS = 5

const model = process.argv[2] ?? process.env.OCTAVO_SMOLLM2_HF ?? 'models/smollm2'
const vocabulary = model === 'demo' ? 1500 : 40_000

/** Token ids that depend on a number only. */
function tokens(seed: number, length: number): number[] {
  return Array.from({ length }, (_, i) => 100 + ((seed * 104_729 + i * 7919) % (vocabulary - 100)))
}

async function measure(enablePrefixCaching: boolean) {
  const engine = await LLMEngine.load(model, {
    ...{ enablePrefixCaching, maxModelLen: 2048, skipTokenizerInit: true, log: false },
  })
  const prefix = tokens(1, PREFIX)
  const prompts = Array.from({ length: REQUESTS }, (_, i) => {
    return { promptTokenIds: [...prefix, ...tokens(2 + i, MORE)] }
  })
  const params = { maxTokens: MORE, temperature: 0, ignoreEos: true }
  await engine.generate({ promptTokenIds: [...prefix, ...tokens(99, MORE)] }, params)

  const before = engine.stats()
  const began = performance.now()
  await engine.generate(prompts, params)
  const seconds = (performance.now() - began) / 1000
  const { promptTokens, prefixCacheHits } = engine.stats()
  const first: number[] = []
  for (let i = 0; i < FIRST_TOKENS; i++) {
    const prompt = { promptTokenIds: [...prefix, ...tokens(200 + i, MORE)] }
    const start = performance.now()
    for await (const _ of engine.stream(prompt, { ...params, maxTokens: 1 })) {
      first.push(performance.now() - start)
    }
  }
  engine.checkIntegrity()
  await engine.close()
  return {
    seconds,
    promptTokens: promptTokens - before.promptTokens,
    hits: prefixCacheHits - before.prefixCacheHits,
    firstTokenMs: median(first),
  }
}

const cached = await measure(true)
const plain = await measure(false)
const times = (a: number, b: number) => `${(a / b).toFixed(1)} x`
printTable(
  `${REQUESTS} requests of ${PREFIX} shared + ${MORE} own tokens, ${MORE} drawn: ${model}`,
  [
    ['', 'prefix cached', 'not cached', 'gain'],
    ['prompt tokens computed', String(cached.promptTokens), String(plain.promptTokens), ''],
    ['prompt tokens found', String(cached.hits), String(plain.hits), ''],
    [
      'all 32 requests, s',
      cached.seconds.toFixed(2),
      plain.seconds.toFixed(2),
      times(plain.seconds, cached.seconds),
    ],
    [
      'time to first token, ms',
      cached.firstTokenMs.toFixed(1),
      plain.firstTokenMs.toFixed(1),
      times(plain.firstTokenMs, cached.firstTokenMs),
    ],
  ],
)
writeJson('prefix-cache', { model, cached, plain })
