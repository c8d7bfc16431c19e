import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The checkout's folder. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program to its end and gives what it printed; fails the test with its output if it fails. */
export function succeed(program: string, args: readonly string[], options: CommandOptions = {}) {
  const { status, stdout, stderr, error } = attempt(program, args, options)
  if (status === 0) return stdout
  const output = `${stdout}${stderr}${error?.message ?? ''}`
  throw new Error(`${program} ${args.join(' ')} ended with ${status ?? 'no'} exit code:\n${output}`)
}

/** Runs a program to its end, whatever that is. */
export function attempt(program: string, args: readonly string[], options: CommandOptions = {}) {
  return spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26, ...options })
}

/** Runs npm with what a user's own shell would give it, not what the npm of this test run adds. */
export function npm(args: readonly string[], options: CommandOptions = {}) {
  const env = Object.entries(options.env ?? process.env).filter(([name]) => !isFromNpm(name))
  return succeed('npm', args, { ...options, env: Object.fromEntries(env) })
}

function isFromNpm(name: string): boolean {
  return /^npm_(package|lifecycle|command|config_(local_prefix|prefix|noproxy))/.test(name)
}
