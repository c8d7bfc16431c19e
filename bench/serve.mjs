// npm run bench:serve -- [--model demo] [--streams 200] [--tokens 200] [--rounds 3] [--runs 2] [--warmup 2]
// What the server costs beside the engine. New processes take turns: one computes requests with no
// server, the next one streams the same to a client in another process. CPU times are the main thread's.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'

const flag = (value) => ({ type: 'string', default: value })
const { values } = parseArgs({
  options: {
    ...{ model: flag('demo'), streams: flag('200'), tokens: flag('200') },
    ...{ rounds: flag('3'), runs: flag('2'), warmup: flag('2') },
  },
})
const [streams, tokens, rounds, runs, warmup] = [
  ...[values.streams, values.tokens, values.rounds, values.runs, values.warmup],
].map(Number)

const alone = []
const served = []
for (let round = 0; round < rounds; round++) {
  alone.push(await measure('alone'))
  served.push(await measure('served'))
}

const sum = (results, key) => results.reduce((total, result) => total + result[key], 0)
const drawn = rounds * runs * streams * tokens
const events = sum(served, 'events')
const cpu = { alone: sum(alone, 'cpu') * 1000, served: sum(served, 'cpu') * 1000 }
const speed = (results) => `${((1000 * drawn) / sum(results, 'wall')).toFixed(0)} tokens/s`
const percent = (share) => `${(100 * share).toFixed(1)} %`
const losses = served.map(({ wall }, round) => percent(1 - alone[round].wall / wall))
const wrong = served.filter(({ texts }) => texts !== alone[0].texts).length
console.log(
  [
    `${rounds} rounds of ${runs} times ${streams} streams of ${tokens} tokens, ${wrong} rounds wrong`,
    `${(drawn / events).toFixed(1)} tokens an event`,
    `engine alone ${speed(alone)}, served ${speed(served)}: ` +
      `${percent(1 - sum(alone, 'wall') / sum(served, 'wall'))} less (${losses.join(', ')})`,
    `main thread: engine alone ${(cpu.alone / drawn).toFixed(2)} µs a token; the server adds ` +
      `${((cpu.served - cpu.alone) / events).toFixed(1)} µs an event, ` +
      `${((cpu.served - cpu.alone) / drawn).toFixed(2)} µs a token`,
    `event-loop delay p99 ${served.map(({ delay }) => delay.toFixed(1)).join(', ')} ms`,
  ].join('\n'),
)

/** What a process of its own tells of its runs. */
async function measure(subject) {
  const task = { subject, model: values.model, streams, tokens, runs, warmup }
  const child = fork(new URL('serve-subject.mjs', import.meta.url), [JSON.stringify(task)])
  const [result] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${subject}: ended without a result`))),
  ])
  if (child.exitCode === null) await once(child, 'exit')
  return result
}
