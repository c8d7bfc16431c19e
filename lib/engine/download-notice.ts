import type { LoadProgress } from './loading.js'

/** Logs a model's download: one line when it begins and one each tenth of the way. */
export function downloadNotice(
  model: string,
  log: (line: string) => void,
): (progress: LoadProgress) => void {
  let tenths = -1
  return ({ phase, fraction, totalBytes }) => {
    const reached = Math.floor(10 * fraction)
    if (phase !== 'download' || reached <= tenths) return
    tenths = reached
    log(`downloading ${model}: ${10 * reached} % of ${(totalBytes / 2 ** 20).toFixed(0)} MiB`)
  }
}
