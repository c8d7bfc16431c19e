// npm run bench:speculation -- [--model models/smollm2] [--rounds 5] [--quantization int8] [--drafts 4] [--sequences 1,8] [--tasks extract]
// What drafts by n-grams gain: tokens a second of decoding without and with them, where a chat repeats a text, lists what it
// tells as JSON, and makes one up, in turns and each in a new process. Prints medians, and the tokens of a sequence's step.
import { fileURLToPath } from 'node:url'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { LLMEngine } from 'octavo'
import { root } from '../scripts/lib/run.mjs'
import { outputOf } from './checkout.mjs'
import { median } from './statistics.mjs'
import { inTurns } from './turns.mjs'

const TOKENS = 128
const PEOPLE = [
  ['Mara Lind', 1961, 'baker', 'Uppsala'],
  ['Tom Okafor', 1984, 'pilot', 'Lagos'],
  ['Elsa Brandt', 1975, 'teacher', 'Bremen'],
  ['Ivo Petrov', 1990, 'nurse', 'Varna'],
  ['Lucy Hale', 1958, 'painter', 'York'],
  ['Chen Wei', 1979, 'engineer', 'Xiamen'],
]
const string = { type: 'string' }
const person = {
  type: 'object',
  properties: { name: string, born: { type: 'integer' }, job: string, city: string },
  required: ['name', 'born', 'job', 'city'],
}
/** The people from number i on, in prose. */
const prose = (i) =>
  [...PEOPLE.slice(i % PEOPLE.length), ...PEOPLE.slice(0, i % PEOPLE.length)]
    .map(([name, born, job, city]) => `${name}, born in ${born}, is a ${job} in ${city}.`)
    .join(' ')

const TASKS = {
  repeat: { ask: (text) => `Repeat this text word for word:\n\n${text}`, temperature: 0 },
  correct: {
    ask: (text) =>
      `Write this text again, with "one" in place of every "a", and nothing else:\n\n${text}`,
    temperature: 0,
  },
  extract: {
    ask: (_, i) => `Write a JSON array of the people in this text:\n\n${prose(i)}`,
    temperature: 0,
    structuredOutputs: { json: { type: 'array', items: person, minItems: PEOPLE.length } },
  },
  'make up': { ask: (_, i) => `Write a long story about the number ${i}.`, temperature: 1 },
}
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'models/smollm2' },
    rounds: { type: 'string', default: '5' },
    quantization: { type: 'string', default: 'none' },
    drafts: { type: 'string', default: '4' },
    sequences: { type: 'string', default: '1,8' },
    tasks: { type: 'string', default: Object.keys(TASKS).join() },
  },
})

/** Paragraphs of the frozen text that are about as long as what is drawn. */
const texts = readFileSync(join(root, 'bench/text/pages.txt'), 'utf8')
  .split('\n\n')
  .filter(({ length }) => length > 450 && length < 700)

/** One run, in a process of its own. */
async function measure(task, sequences, drafts) {
  const speculativeConfig = { method: 'ngram', numSpeculativeTokens: drafts }
  const engine = await LLMEngine.load(options.model, {
    ...{
      quantization: options.quantization,
      maxModelLen: 1024,
      enablePrefixCaching: false,
      log: false,
    },
    ...(drafts > 0 && { speculativeConfig }),
  })
  const { ask, ...sampling } = TASKS[task]
  sampling.ignoreEos = sampling.structuredOutputs === undefined
  const prompts = Array.from({ length: sequences }, (_, i) => ({
    prompt: engine.text.renderChat([{ role: 'user', content: ask(texts[i], i) }]),
    addSpecialTokens: false,
  }))
  const decodes = Math.max(16, sequences * (1 + drafts)) // rows at most
  let start, before // behind the last step that computes prompts
  engine.observe({
    onStep: ({ tokens }) => {
      if (tokens > decodes) [start, before] = [performance.now(), engine.stats().generatedTokens]
    },
  })
  await engine.generate(prompts, { ...sampling, maxTokens: TOKENS, seed: 1 })
  const seconds = (performance.now() - start) / 1000
  const { generatedTokens, acceptedTokens, draftTokens } = engine.stats()
  await engine.close()
  const made = generatedTokens - before
  const perStep = made / (made - acceptedTokens)
  return { rate: made / seconds, perStep, accepted: acceptedTokens / Math.max(1, draftTokens) }
}

async function report() {
  const program = [fileURLToPath(import.meta.url), ...process.argv.slice(2)]
  console.log('task\tsequences\twithout\twith\tratio\ttokens a step\tdrafts accepted')
  for (const sequences of options.sequences.split(',')) {
    for (const task of options.tasks.split(',')) {
      const runs = inTurns([0, options.drafts], Number(options.rounds), (drafts) =>
        JSON.parse(outputOf(process.execPath, [...program, task, sequences, drafts])),
      )
      const of = (drafts, what) => median(runs[drafts].map((run) => run[what]))
      const [before, after] = [of(0, 'rate'), of(options.drafts, 'rate')]
      const cells = [before.toFixed(1), after.toFixed(1), (after / before).toFixed(2)]
      const accepted = `${(100 * of(options.drafts, 'accepted')).toFixed(0)} %`
      cells.push(of(options.drafts, 'perStep').toFixed(2), accepted)
      console.log([task, sequences, ...cells].join('\t'))
    }
  }
}

if (positionals.length === 0) await report()
else {
  const [task, sequences, drafts] = positionals
  console.log(JSON.stringify(await measure(task, Number(sequences), Number(drafts))))
}
