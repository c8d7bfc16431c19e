// What structured outputs cost at batch 16, in tokens a second and in CPU time a token, which other
// programs disturb less: free outputs, outputs that share a schema, and outputs with a schema each, in
// turns. Then how long a mask takes by itself. node bench/structured-output.mjs [MODEL] [ROUNDS]
import { LLMEngine } from 'octavo'
import { compileGrammar } from '../dist/structured/compile.js'
import { Matcher } from '../dist/structured/matcher.js'
import { tokenBytesOf } from '../dist/structured/token-bytes.js'
import { TokenTrie } from '../dist/structured/token-trie.js'
import { Tokenizer } from '../dist/text/tokenizer.js'
import { median } from './statistics.mjs'

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

/** Milliseconds of a token: of all the machine's time, and of the CPU's. */
async function measure(sampling) {
  const tokens = engine.stats().generatedTokens
  const cpu = process.cpuUsage()
  const start = performance.now()
  await engine.generate(prompts, sampling)
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  const drawn = engine.stats().generatedTokens - tokens
  return { wall: wall / drawn, cpu: (user + system) / 1000 / drawn }
}

const times = Object.fromEntries(Object.keys(kinds).map((kind) => [kind, []]))
await measure(kinds['one schema']) // starts the thread
for (let round = 0; round < Number(rounds); round++) {
  for (const [kind, sampling] of Object.entries(kinds)) times[kind].push(await measure(sampling))
}
await engine.close()

const of = (kind, what) => median(times[kind].map((time) => time[what]))
for (const kind of Object.keys(kinds)) {
  const more = (what) => `${((of(kind, what) / of('free text', what) - 1) * 100).toFixed(1)} %`
  console.log(
    `${kind.padEnd(14)} ${(1000 / of(kind, 'wall')).toFixed(0)} tokens/s, ${more('wall')} more time  ` +
      `${of(kind, 'cpu').toFixed(2)} ms of CPU a token, ${more('cpu')} more`,
  )
}

const tokenizer = await Tokenizer.load(model)
const ends = tokenizer.eosTokenId === null ? [] : [tokenizer.eosTokenId]
const timed = (work) => {
  const start = performance.now()
  const value = work()
  return [value, performance.now() - start]
}
const [trie, treeTime] = timed(
  () => new TokenTrie(tokenBytesOf(tokenizer, tokenizer.vocabSize, ends)),
)
const person = JSON.stringify({
  ...{
    name: 'Ada Lovelace',
    age: 36,
    story: 'She wrote the first program, long before there was a',
  },
  ...{ tags: ['mathematics', 'poetry'] },
})
const ids = [...tokenizer.encode(person, { addSpecialTokens: false })]
const compiled = () =>
  compileGrammar({ kind: 'json', source: JSON.stringify(schema(0)), compact: false })
compiled()
const [recognizer, compileTime] = timed(compiled)
/** Microseconds of each mask along a text. */
const walk = () => {
  const matcher = new Matcher(recognizer, trie)
  return ids.map((id) => {
    const [, time] = timed(() => matcher.mask())
    if (!matcher.accept(id)) throw new Error('the grammar refuses the text')
    return 1000 * time
  })
}
const spread = (values) =>
  `${median(values).toFixed(0)} µs, at most ${Math.max(...values).toFixed(0)}`
console.log(
  `${tokenizer.vocabSize} tokens: a tree in ${treeTime.toFixed(0)} ms, a schema compiled in ` +
    `${compileTime.toFixed(1)} ms; a mask in a new state ${spread(walk())}, in a known one ${spread(walk())}`,
)
await tokenizer.close()
