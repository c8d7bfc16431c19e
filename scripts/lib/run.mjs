import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository's root, with a trailing separator. */
export const root = fileURLToPath(new URL('../../', import.meta.url))

/** Runs a program with its output on this terminal and gives its exit code. */
export function run(program, args, options = {}) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit', ...options })
  if (error) throw error
  return status ?? 1
}

/** Whether a program is on the PATH. */
export function isInstalled(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined
}

/**
 * Runs a program behind one line that says what is going on.
 * Its output shows only if it fails, and this process then ends with its exit code.
 */
export function runQuietly(title, program, args, options = {}) {
  const begin = performance.now()
  process.stderr.write(`${title} … `)
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  if (!error && status === 0) {
    process.stderr.write(`${((performance.now() - begin) / 1000).toFixed(1)} s\n`)
    return stdout
  }
  process.stderr.write(`failed\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}\n`)
  process.exit(status || 1)
}
