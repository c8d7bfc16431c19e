import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A kernel as it was compiled for an architecture; static shared memory and spills in bytes.
 * @typedef {{ symbol: string, architecture: string, registers: number, shared: number, spilled: number }} Kernel
 */

/**
 * What ptxas -v said of every kernel that a build compiled.
 * @param {string} buildFolder
 * @returns {(Kernel & { source: string })[]}
 */
export function kernelsOf(buildFolder) {
  const folder = join(buildFolder, 'csrc/cuda')
  const reports = readdirSync(folder).filter((name) => name.endsWith('.ptxas.txt'))
  return reports.flatMap((name) => {
    const source = `${name.split('.')[0]}.cu`
    return parsePtxas(readFileSync(join(folder, name), 'utf8')).map((kernel) => ({
      source,
      ...kernel,
    }))
  })
}

/**
 * The kernels of one report. Throws where a line is missing, so that a changed format is noticed.
 * @param {string} report
 * @returns {Kernel[]}
 */
export function parsePtxas(report) {
  const [, ...entries] = report.split(/^ptxas info\s*: Compiling entry function /m)
  return entries.map((entry) => {
    const [, symbol, architecture] = wanted(entry, /^'(\S+)' for 'sm_(\d+a?)'/)
    const [, stores, loads] = wanted(entry, /(\d+) bytes spill stores, (\d+) bytes spill loads/)
    const [, registers] = wanted(entry, /Used (\d+) registers/)
    const shared = /(\d+) bytes smem/.exec(entry)?.[1] ?? 0
    return {
      symbol,
      architecture,
      registers: Number(registers),
      shared: Number(shared),
      spilled: Number(stores) + Number(loads),
    }
  })
}

function wanted(entry, pattern) {
  const match = pattern.exec(entry)
  if (match === null) throw new Error(`ptxas: expected ${pattern} in '${entry.slice(0, 200)}'`)
  return match
}
