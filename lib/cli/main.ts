#!/usr/bin/env node
import { reportFailure } from './failure.js'
import { createProgram } from './program.js'

// Whoever reads our output may stop early, as `head` does; notes that nobody reads stop nothing.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : reportFailure(error))
})
process.stderr.on('error', () => undefined)

try {
  await createProgram().parseAsync()
} catch (error) {
  process.exitCode = reportFailure(error)
}
