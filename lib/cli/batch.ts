import { access } from 'node:fs/promises'
import type { Command } from 'commander'
import type { LLMEngine } from '../engine/llm-engine.js'
import { runBatch } from '../openai/batch.js'
import { BatchDisplay, resultLine } from './batch-display.js'
import { Interrupted } from './failure.js'
import { withEngine } from './load.js'
import { addFlags } from './flags.js'
import { readLoraModules, SERVING_FLAGS } from './loras.js'
import { addEngineFlags, addModelFlag } from './options.js'
import { note } from './terminal.js'

interface Flags extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly servedModelName?: readonly string[]
  readonly loraModules?: unknown
}

export function addBatch(program: Command): void {
  const command = program
    .command('batch')
    .summary('answer an OpenAI batch file; resumes where it was interrupted')
    .description(
      'Answers the requests of an OpenAI batch file and appends each result when it is finished. ' +
        'Run again with the same files, it goes on where it was interrupted.',
    )
    .argument('<in.jsonl>', 'requests: {"custom_id", "method", "url", "body"} a line')
    .argument('<out.jsonl>', 'results, appended')
  addModelFlag(command)
  addFlags(command, 'Requests:', SERVING_FLAGS)
  addEngineFlags(command)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo batch requests.jsonl results.jsonl
  $ octavo batch requests.jsonl results.jsonl -m ./models/smollm2 --max-num-seqs 64
  $ octavo batch requests.jsonl results.jsonl --served-model-name gpt-4o-mini
  $ octavo batch requests.jsonl results.jsonl -m ./models/smollm2 --lora-modules sql=./sql-adapter

A request is a line such as
  {"custom_id": "a", "method": "POST", "url": "/v1/completions",
   "body": {"prompt": "Once upon a time", "max_tokens": 32}}
with url /v1/completions, /v1/chat/completions, /v1/responses or /v1/embeddings.`,
    )
    .action(batch)
}

async function batch(input: string, output: string, flags: Flags): Promise<void> {
  const { model, servedModelName: names = [model], loraModules } = flags
  const loras = readLoraModules(loraModules, { model, names })
  await access(input)
  const stop = new AbortController()
  const hint = 'interrupted; run the same command again to go on'
  // A second Ctrl-C ends the process at once: a rerun repairs what that leaves.
  process.once('SIGINT', () => stop.abort(new Interrupted(hint)))
  const run = async (engine: LLMEngine) => {
    const display = new BatchDisplay()
    const running = runBatch(engine, input, output, {
      signal: stop.signal,
      onProgress: (progress) => display.show(progress),
      servedModelNames: names,
    })
    const progress = await running.finally(() => display.stop())
    note(resultLine(progress, output))
  }
  await withEngine(flags, run, loras)
}
