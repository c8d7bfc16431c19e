// What structured outputs cost: CPU time a token at batch 16, of free outputs, of outputs that share a
// schema, and of outputs with a schema each. CPU time, so that other programs disturb little; the kinds
// take turns. node bench/structured-output.mjs [MODEL] [ROUNDS]
import { LLMEngine } from 'octavo'

const [model = 'models/smollm2', rounds = '4'] = process.argv.slice(2)
const BATCH = 16
const TOKENS = 64

const schema = (i) => ({
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 100 },
    age: { type: 'integer', minimum: 0, maximum: 120 + i },
    story: { type: 'string' },
    tags: { type: 'array', items: { type: 'string' }, maxItems: 5 },
  },
  required: ['name', 'age', 'story', 'tags'],
})
const params = { maxTokens: TOKENS, seed: 1 }
const prompts = Array.from({ length: BATCH }, (_, i) => `Write JSON about person ${i}: `)
const kinds = {
  'free text': { ...params, ignoreEos: true },
  'one schema': { ...params, structuredOutputs: { json: schema(0) } },
  'a schema each': prompts.map((_, i) => ({ ...params, structuredOutputs: { json: schema(i) } })),
}

const engine = await LLMEngine.load(model, {
  maxModelLen: 1024,
  enablePrefixCaching: false,
  log: false,
})

async function cpuMilliseconds(sampling) {
  const tokens = engine.stats().generatedTokens
  const before = process.cpuUsage()
  await engine.generate(prompts, sampling)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / (engine.stats().generatedTokens - tokens)
}

const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))
await cpuMilliseconds(kinds['one schema']) // starts the thread
for (let round = 0; round < Number(rounds); round++) {
  for (const [kind, sampling] of Object.entries(kinds))
    times[kind].push(await cpuMilliseconds(sampling))
}
await engine.close()

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
const free = median(times['free text'])
for (const [kind, values] of Object.entries(times)) {
  const share = ((median(values) / free - 1) * 100).toFixed(1)
  console.log(`${kind.padEnd(14)} ${median(values).toFixed(2)} ms of CPU a token  ${share} %`)
}
