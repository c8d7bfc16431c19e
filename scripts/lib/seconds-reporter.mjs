/** A vitest reporter: after the run, the seconds that each test file took, the slowest first. */
export default class SecondsReporter {
  onTestRunEnd(modules) {
    const rows = modules
      .map((module) => [module.diagnostic().duration / 1000, module.relativeModuleId])
      .sort(([a], [b]) => b - a)
    console.log('Seconds a file:')
    for (const [seconds, file] of rows) console.log(`${seconds.toFixed(1).padStart(8)}  ${file}`)
  }
}
