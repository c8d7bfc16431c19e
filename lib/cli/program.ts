import { Command } from 'commander'
import { addBatch } from './batch.js'
import { addBench } from './bench.js'
import { addChat } from './chat.js'
import { tellFailuresOf, writeError } from './failure.js'
import { addGenerate } from './generate.js'
import { addInfo } from './info.js'
import { addPlan } from './plan.js'
import { addServe } from './serve.js'
import { addWorker } from './worker.js'
import { version } from '../version.js'

/** The `octavo` command with all of its subcommands. */
export function createProgram(): Command {
  const program = new Command('octavo')
    .description('Runs large language models: continuous batching over a paged key/value cache.')
    .version(version(), '-v, --version', 'show the version')
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .hook('preAction', (_, command) => tellFailuresOf(command))
  addGenerate(program)
  addChat(program)
  addBatch(program)
  addServe(program)
  addWorker(program)
  addBench(program)
  addPlan(program)
  addInfo(program)
  reportMisuse(program, 'octavo')
  return program.addHelpText(
    'after',
    `
Examples:
  $ octavo generate "Once upon a time"
  $ octavo chat -m ./models/smollm2
  $ octavo batch requests.jsonl results.jsonl -m HuggingFaceTB/SmolLM2-135M-Instruct`,
  )
}

/** Puts commander's messages, of subcommands too, in one line that says where to read more. */
function reportMisuse(command: Command, name: string): void {
  command.configureOutput({
    outputError: (text) => {
      const message = text.replace(/^error: /, '').replace(/\.?\s*$/, '')
      writeError(`${message.replace(/\s*\n\s*/g, ' ')}; see ${name} --help`)
    },
  })
  for (const inner of command.commands) reportMisuse(inner, `${name} ${inner.name()}`)
}
