import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { root } from './commands.js'

const main = join(root, 'dist/cli/main.js')
/** Without colours, and without what the machine's own settings would change. */
const env = { ...process.env, NO_COLOR: '1', HF_HUB_OFFLINE: '1', OCTAVO_DEBUG: '' }

interface RunOptions {
  /** What its standard input holds. */
  readonly input?: string
  readonly cwd?: string
  /** A file that its standard output goes to. */
  readonly stdout?: number
}

/** Runs the command to its end. */
export function octavo(
  args: readonly string[],
  { input = '', cwd = root, stdout: file }: RunOptions = {},
) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd,
    env,
    input,
    stdio: ['pipe', file ?? 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { status, stdout, stderr }
}

/** Starts the command, with further environment variables. */
export function startOctavo(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): ChildProcess {
  return spawn(process.execPath, [main, ...args], {
    cwd: root,
    env: { ...env, ...environment },
    stdio: 'pipe',
  })
}
