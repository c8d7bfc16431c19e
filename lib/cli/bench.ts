import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { checkInteger, checkNumber, checkText } from '../check.js'
import { runLoad, type LoadOptions } from '../bench/load.js'
import { plotOf } from '../bench/plot.js'
import type { LoadReport } from '../bench/report.js'
import { SHAREGPT } from '../bench/workload.js'
import { withCause } from '../errors.js'
import { addFlags, flagValues, type FlagTable } from './flags.js'
import { note, rate } from './terminal.js'

type Name =
  | ('url' | 'model' | 'apiKey' | 'numPrompts' | 'requestRate' | 'maxConcurrency' | 'seed')
  | ('promptWords' | 'outputTokens' | 'sharedWords' | 'spread' | 'goodTtft' | 'goodTpot')

const FLAGS: FlagTable<Name> = {
  url: { kind: 'text', value: 'url', help: 'of the server (default: http://127.0.0.1:8000)' },
  model: { kind: 'text', value: 'name', help: 'as the server calls it (default: its first)' },
  apiKey: { kind: 'text', value: 'key', help: 'that the server asks for' },
  numPrompts: { kind: 'number', value: 'count', help: 'requests to send (default: 100)' },
  requestRate: {
    kind: 'number',
    value: 'a second',
    help: 'Poisson arrivals (default: all at once)',
  },
  maxConcurrency: {
    kind: 'number',
    value: 'count',
    help: 'requests under way (default: no limit)',
  },
  seed: { kind: 'number', help: 'the same seed gives the same load (default: 0)' },
  promptWords: { kind: 'number', value: 'mean', help: "of a prompt (default: ShareGPT's)" },
  outputTokens: { kind: 'number', value: 'mean', help: "of an output (default: ShareGPT's)" },
  sharedWords: { kind: 'number', value: 'count', help: 'that all prompts begin with (default: 0)' },
  spread: { kind: 'number', help: "of lengths, 0 for equal ones (default: about ShareGPT's)" },
  goodTtft: { kind: 'number', value: 'ms', help: 'to the first token, for goodput' },
  goodTpot: { kind: 'number', value: 'ms', help: 'per output token, for goodput' },
}

interface Flags extends Readonly<Record<string, unknown>> {
  readonly json?: string
  readonly plot?: string
}

export function addBench(program: Command): void {
  const serve = program
    .command('bench')
    .summary('put a server under load')
    .command('serve')
    .description(
      "Sends a load of /v1/completions to a server of OpenAI's API and measures time to first token, " +
        'time per output token, inter-token latency and goodput.',
    )
    .option('--json <file>', 'write the figures as JSON')
    .option('--plot <file>', 'write a picture of the waits as SVG')
  addFlags(serve, 'Load:', FLAGS)
  serve
    .addHelpText(
      'after',
      `
Examples:
  $ octavo bench serve --request-rate 4 --num-prompts 200
  $ octavo bench serve --shared-words 400 --max-concurrency 16 --json load.json --plot load.svg
  $ octavo bench serve --request-rate 8 --good-ttft 500 --good-tpot 50`,
    )
    .action(bench)
}

async function bench(flags: Flags): Promise<void> {
  const options = await loadOptions(flagValues(FLAGS, flags))
  const report = await runLoad(options)
  process.stdout.write(describe(report))
  for (const error of report.errors) note(error)
  if (flags.json !== undefined) await writeFile(flags.json, jsonOf(options, report))
  if (flags.plot !== undefined) {
    await writeFile(
      flags.plot,
      plotOf(report, `${options.target.model}, ${options.count} requests`),
    )
  }
}

/** The figures, after what they were measured with; null stands for no limit. */
function jsonOf({ target, goals, ...load }: LoadOptions, report: LoadReport): string {
  const { url, model } = target
  const all = { date: new Date().toISOString(), url, model, load, goals, ...report }
  return `${JSON.stringify(all, (_, value: unknown) => (value === Infinity ? null : value), 2)}\n`
}

async function loadOptions(raw: Partial<Record<Name, unknown>>): Promise<LoadOptions> {
  const url = checkText('url', raw.url ?? 'http://127.0.0.1:8000')
  const apiKey = raw.apiKey === undefined ? null : checkText('apiKey', raw.apiKey)
  const number = (name: Name, fallback: number, min = 0) =>
    raw[name] === undefined ? fallback : checkNumber(name, raw[name], { min })
  const integer = (name: Name, fallback: number, min = 1) =>
    raw[name] === undefined ? fallback : checkInteger(name, raw[name], { min })
  const goal = (name: Name) => (raw[name] === undefined ? undefined : number(name, 0))
  const [ttft, tpot] = [goal('goodTtft'), goal('goodTpot')]
  return {
    target: {
      url,
      apiKey,
      model: checkText('model', raw.model ?? (await firstModel(url, apiKey))),
    },
    count: integer('numPrompts', 100),
    rate: number('requestRate', Infinity),
    concurrency: integer('maxConcurrency', Infinity),
    seed: integer('seed', 0, 0),
    promptWords: integer('promptWords', SHAREGPT.promptWords),
    outputTokens: integer('outputTokens', SHAREGPT.outputTokens),
    sharedWords: integer('sharedWords', 0, 0),
    spread: number('spread', SHAREGPT.spread),
    goals: { ...(ttft !== undefined && { ttft }), ...(tpot !== undefined && { tpot }) },
  }
}

async function firstModel(url: string, apiKey: string | null): Promise<string> {
  const headers = new Headers(apiKey === null ? [] : [['authorization', `Bearer ${apiKey}`]])
  const models = `${url.replace(/\/+$/, '')}/v1/models`
  const response = await fetch(models, { headers }).catch((cause: unknown) => {
    throw new Error(`${models}: ${withCause(cause)}`, { cause })
  })
  if (!response.ok) throw new Error(`${models} answers ${response.status}`)
  const { data } = (await response.json()) as { data: readonly { id: string }[] }
  if (data[0] === undefined) throw new Error(`${models} names no model`)
  return data[0].id
}

function describe(report: LoadReport): string {
  const { completed, failed, seconds, outputTokens, goodput } = report
  const rows = (['ttft', 'tpot', 'itl', 'e2el'] as const).map((kind) => {
    const { mean, p50, p90, p99 } = report[kind]
    const cells = [mean, p50, p90, p99].map((value) => value.toFixed(1).padStart(10))
    return `${kind.toUpperCase().padEnd(6)}${cells.join('')}`
  })
  const good = goodput === null ? '' : ` · goodput ${goodput.toFixed(2)} requests/s`
  return [
    `${completed} answered, ${failed} failed in ${seconds.toFixed(1)} s · ` +
      `${report.requestsPerSecond.toFixed(2)} requests/s · ${rate(outputTokens, seconds)}${good}`,
    `${'ms'.padEnd(6)}${['mean', 'p50', 'p90', 'p99'].map((name) => name.padStart(10)).join('')}`,
    ...rows,
    '',
  ].join('\n')
}
