// node scripts/sum-results.mjs REPORT.json …      Adds up what vitest's JSON reporter wrote in several runs.
//
// Names what failed and why, so that the end of a log is enough.
import { readFileSync } from 'node:fs'

const reports = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, 'utf8')))
const sum = (key) => reports.reduce((total, report) => total + report[key], 0)
const files = reports.flatMap((report) => report.testResults)

for (const { name, assertionResults } of files)
  for (const { status, fullName, failureMessages } of assertionResults)
    if (status === 'failed') console.log(`${name}: ${fullName}\n  ${failureMessages.join('\n  ')}`)

// A file that does not even load fails its suite, not a test.
const broken = files.filter(
  (file) => file.status === 'failed' && file.assertionResults.length === 0,
)
for (const { name, message } of broken) console.log(`${name}\n  ${message}`)

const passed = sum('numPassedTests')
const failed = sum('numFailedTests') + broken.length
const skipped = sum('numPendingTests') + sum('numTodoTests')
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
if (failed > 0 || passed === 0) process.exitCode = 1
