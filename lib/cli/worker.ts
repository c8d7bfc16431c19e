import { once } from 'node:events'
import type { Command } from 'commander'
import type { LLMEngine } from '../engine/llm-engine.js'
import { resolveWorkerOptions, startWorker, type WorkerOptions } from '../worker/worker.js'
import { addFlags, flagValues, type FlagTable } from './flags.js'
import { withEngine } from './load.js'
import { readLoraModules, SERVING_FLAGS } from './loras.js'
import { addEngineFlags, addModelFlag } from './options.js'
import { messageOf, writeError } from './failure.js'
import { note } from './terminal.js'

const FLAGS: FlagTable<Exclude<keyof WorkerOptions, 'onError' | 'servedModelNames'>> = {
  redis: { kind: 'text', value: 'url', help: 'of the queue (default: redis://127.0.0.1:6379)' },
  queue: { kind: 'text', value: 'name', help: 'to take jobs from (default: octavo)' },
  concurrency: { kind: 'number', value: 'count', help: 'jobs at once' },
  lockDuration: {
    kind: 'number',
    value: 'ms',
    help: "until a dead worker's job goes to another (default: 30000)",
  },
}

interface Flags extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly servedModelName?: readonly string[]
  readonly loraModules?: unknown
}

export function addWorker(program: Command): void {
  const command = program
    .command('worker')
    .summary('answer the jobs of a BullMQ queue')
    .description(
      'Answers the jobs of a BullMQ queue in Redis until SIGTERM or SIGINT, and finishes those under way. ' +
        'Needs the package bullmq.',
    )
  addModelFlag(command)
  addFlags(command, 'Worker:', { ...FLAGS, ...SERVING_FLAGS })
  addEngineFlags(command)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo worker --redis redis://127.0.0.1:6379
  $ octavo worker -m ./models/smollm2 --queue summaries --concurrency 64

A job's data is a request such as
  {"url": "/v1/completions", "body": {"prompt": "Once upon a time", "max_tokens": 32}}
or {"requests": [...]} for several at once.`,
    )
    .action(work)
}

async function work(flags: Flags): Promise<void> {
  const { model, servedModelName: names = [model], loraModules } = flags
  const options: WorkerOptions = {
    ...(flagValues(FLAGS, flags) as WorkerOptions),
    servedModelNames: names,
    onError: (error) => writeError(messageOf(error)),
  }
  // Wrong ones are told before the model is loaded.
  resolveWorkerOptions(options)
  const loras = readLoraModules(loraModules, { model, names })
  const serve = async (engine: LLMEngine) => {
    const worker = await startWorker(engine, options)
    note(`worker of ${engine.model} is ready`)
    await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
    await worker.close()
  }
  await withEngine(flags, serve, loras)
}
