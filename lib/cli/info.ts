import type { Command } from 'commander'
import { describeMachine } from './info-machine.js'
import { describeModel } from './info-model.js'
import { addPlanFlags, MODEL_HELP } from './options.js'
import { paint } from './terminal.js'

interface Flags extends Readonly<Record<string, unknown>> {
  readonly json?: boolean
}

/** One line of what is shown: its label, the text for people, the value for programs. */
export interface Fact {
  readonly name: string
  readonly label: string
  readonly text: string
  readonly value: unknown
}

export function addInfo(program: Command): void {
  const command = program
    .command('info')
    .summary('show what this machine offers, or what a model needs')
    .description(
      'Shows what this machine offers; with a model, what that needs. Weights are not loaded.',
    )
    .argument('[model]', MODEL_HELP)
    .option('--json', 'print as JSON')
  addPlanFlags(command)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo info
  $ octavo info demo
  $ octavo info ./models/smollm2 --kv-cache-dtype float32 --json`,
    )
    .action(showInfo)
}

async function showInfo(model: string | undefined, flags: Flags): Promise<void> {
  const facts = model === undefined ? describeMachine() : await describeModel(model, flags)
  process.stdout.write(flags.json === true ? toJson(facts) : toText(facts))
}

function toJson(facts: readonly Fact[]): string {
  const values = Object.fromEntries(facts.map(({ name, value }) => [name, value]))
  return `${JSON.stringify(values, null, 2)}\n`
}

function toText(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(({ label }) => label.length)) + 2
  const lines = facts.map(
    ({ label, text }) => `${paint(process.stdout, 'dim', label.padEnd(width))}${text}\n`,
  )
  return lines.join('')
}
