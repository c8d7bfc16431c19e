// node scripts/sum-results.mjs REPORT.json …      Adds up what vitest's JSON reporter wrote in several runs.
import { readFileSync } from 'node:fs'

const reports = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')))
const sum = (key) => reports.reduce((total, report) => total + report[key], 0)

// A file that does not even load fails its suite, not a test.
const brokenFiles = reports
  .flatMap((report) => report.testResults)
  .filter((file) => file.status === 'failed' && file.assertionResults.length === 0).length
const passed = sum('numPassedTests')
const failed = sum('numFailedTests') + brokenFiles
const skipped = sum('numPendingTests') + sum('numTodoTests')
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0 || passed === 0) process.exitCode = 1
