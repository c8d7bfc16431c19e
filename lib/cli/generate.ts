import type { Command } from 'commander'
import type { CallOptions } from '../engine/call-options.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import type { RequestOutput } from '../engine/outputs.js'
import type { SamplingOptions } from '../sampling-params.js'
import { UsageError } from './failure.js'
import { withEngine } from './load.js'
import { addLoraFlag, forOneLora, lorasOf } from './loras.js'
import { addEngineFlags, addModelFlag, addSamplingFlags, samplingOptions } from './options.js'
import { readStdinLines } from './stdin.js'
import { count, note, paint, percent, rate } from './terminal.js'

/** More than the library's 16, which is seldom what is meant at a prompt. */
const DEFAULT_MAX_TOKENS = 128

interface Flags extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly json?: boolean
  readonly lora?: string
}

export function addGenerate(program: Command): void {
  const command = program
    .command('generate')
    .summary('continue prompts')
    .description(
      'Continues prompts, from the arguments or one a line from standard input. ' +
        `--max-tokens is ${DEFAULT_MAX_TOKENS} unless it is given.`,
    )
    .argument('[prompts...]', 'texts to continue')
    .option('--json', 'print the whole outputs as JSON')
  addModelFlag(command)
  addLoraFlag(command)
  addSamplingFlags(command)
  addEngineFlags(command)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo generate "Once upon a time"
  $ octavo generate "The" "Lily was a" --temperature 0 --max-tokens 32
  $ octavo generate "Once upon a time" -n 3 --seed 7 --top-p 0.9
  $ octavo generate --json --logprobs 2 "The"
  $ octavo generate -m ./models/smollm2 --lora ./sql-adapter "How many users are there?"
  $ cat prompts.txt | octavo generate -m ./models/smollm2`,
    )
    .action(generate)
}

async function generate(given: readonly string[], flags: Flags): Promise<void> {
  const prompts = given.length > 0 ? given : await readStdinLines()
  if (prompts.length === 0) {
    throw new UsageError('no prompt: give one as an argument, or lines on standard input')
  }
  const params = { maxTokens: DEFAULT_MAX_TOKENS, ...samplingOptions(flags) }
  const loras = lorasOf(flags.lora)
  const [loraRequest] = loras
  const asked = { prompts, params, call: loraRequest ? { loraRequest } : {} }
  const run = async (engine: LLMEngine) => {
    const start = performance.now()
    await printOutputs(engine, asked, flags.json === true)
    note(summary(engine, (performance.now() - start) / 1000))
  }
  await withEngine({ ...forOneLora(flags), seed: undefined }, run, loras)
}

/** What the engine is called with. */
interface Asked {
  readonly prompts: readonly string[]
  readonly params: SamplingOptions
  readonly call: CallOptions
}

async function printOutputs(engine: LLMEngine, asked: Asked, json: boolean): Promise<void> {
  const { prompts, params, call } = asked
  const [prompt] = prompts
  const drawn = params.beamWidth === undefined && (params.bestOf ?? params.n ?? 1) === 1
  const single = prompts.length === 1 && drawn
  if (single && prompt !== undefined && !json) return printStream(engine, prompt, asked)
  const outputs = await engine.generate(prompts, params, call)
  process.stdout.write(json ? toJson(outputs) : outputs.map(toText).join('\n'))
}

/** A terminal shows the prompt too; elsewhere only the continuation is wanted. */
async function printStream(engine: LLMEngine, prompt: string, { params, call }: Asked) {
  if (process.stdout.isTTY) process.stdout.write(paint(process.stdout, 'bold', prompt))
  for await (const { text } of engine.stream(prompt, params, call)) process.stdout.write(text)
  process.stdout.write('\n')
}

/** The prompt, and each output with its number if there are several. */
function toText({ prompt, outputs }: RequestOutput): string {
  const heading = paint(process.stdout, 'bold', `> ${prompt ?? ''}`)
  const texts = outputs.map(({ text, index }) =>
    outputs.length === 1 ? text.trim() : `${index + 1}. ${text.trim()}`,
  )
  return `${[heading, ...texts].join('\n')}\n`
}

function toJson(outputs: readonly RequestOutput[]): string {
  const plain = (_key: string, value: unknown): unknown =>
    value instanceof Map ? Object.fromEntries(value) : value
  return `${JSON.stringify(outputs, plain, 2)}\n`
}

function summary(engine: LLMEngine, seconds: number): string {
  const stats = engine.stats()
  const { generatedTokens, promptTokens, prefixCacheHits, peakCacheUsage, totalBlocks } = stats
  return [
    `${count(generatedTokens, 'token')} in ${seconds.toFixed(2)} s`,
    rate(generatedTokens, seconds),
    count(promptTokens + prefixCacheHits, 'prompt token'),
    `cache ${percent(peakCacheUsage)} of ${count(totalBlocks, 'block')} at most`,
  ].join(' · ')
}
