import { CommanderError, type Command } from 'commander'
import { EngineError } from '../errors.js'
import { paint } from './terminal.js'

/** Exit codes: what failed, or how the command was called. */
const FAILED = 1
const MISUSED = 2

/** The command was called in a way that it does not understand. */
export class UsageError extends Error {}

/** Ends a command that was interrupted, with the shell's exit code for it. */
export class Interrupted extends Error {}
const INTERRUPTED = 130

/** The command that runs: failures are told in terms of its flags. */
let running: Command | null = null

export function tellFailuresOf(command: Command): void {
  running = command
}

/** Writes one line that says what failed and what to do; gives the exit code. */
export function reportFailure(error: unknown): number {
  // Commander has written its own line already, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : MISUSED
  if (process.env.OCTAVO_DEBUG) console.error(error)
  else writeError(messageOf(error))
  if (error instanceof Interrupted) return INTERRUPTED
  return isMisuse(error) ? MISUSED : FAILED
}

/** Writes an error as every command does. */
export function writeError(message: string): void {
  process.stderr.write(`${paint(process.stderr, 'red', 'octavo:')} ${message}\n`)
}

/** What a failure says, in one line and with the command line's own names. */
export function messageOf(error: unknown): string {
  return explain(error)
    .trim()
    .replace(/\s*\n\s*/g, ' ')
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const flag = flagNamedBy(error)
  const message = flag === null ? error.message : error.message.replace(/^\w+/, flag)
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return `${message}; check the path`
  if (code === 'EADDRINUSE') return `${message}; --port names another, 0 takes any free one`
  if (error instanceof EngineError && error.code === 'model_not_found') {
    return `${message}; 'demo' is a model that comes with Octavo`
  }
  return message
}

/** The library's messages begin with the option's name, a list's with the plural of its repeated flag. */
function flagNamedBy(error: Error): string | null {
  const [, option] = /^(\w+)[:[ ]/.exec(error.message) ?? []
  if (option === undefined) return null
  const flag = (name: string) => running?.options.find((each) => each.attributeName() === name)
  return (flag(option) ?? flag(option.replace(/s$/, '')))?.long ?? null
}

function isMisuse(error: unknown): boolean {
  if (error instanceof UsageError) return true
  const ofOption = error instanceof TypeError || error instanceof RangeError
  return ofOption && flagNamedBy(error) !== null
}
