// Another commit of this repository beside this checkout, in build-before/.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { root } from '../scripts/lib/run.mjs'

const before = `${root}build-before`

/** The standard output of a program. */
export function outputOf(program, args, settings = {}) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    cwd: root,
    ...settings,
  })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}`)
  return stdout.trim()
}

/** Checks a commit out, and gives the folder. */
export function checkOut(ref) {
  const commit = outputOf('git', ['rev-parse', '--verify', `${ref}^{commit}`])
  if (!existsSync(before)) outputOf('git', ['worktree', 'add', '--detach', before, commit])
  outputOf('git', ['checkout', '--force', '--detach', commit], { cwd: before })
  return before
}
