import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { root } from './commands.js'

const main = join(root, 'dist/cli/main.js')
/** Without colours, and without what the machine's own settings would change. */
const env = { ...process.env, NO_COLOR: '1', HF_HUB_OFFLINE: '1', OCTAVO_DEBUG: '' }

/** Runs the command to its end; `input` is what its standard input holds. */
export function octavo(args: readonly string[], { input = '', cwd = root } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
    cwd,
    env,
    input,
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
