import type { DownloadProgress } from '../weights/hub.js'

/** Logs a model's download: one line when it begins and one each tenth of the way. */
export function downloadNotice(
  model: string,
  log: (line: string) => void,
): (progress: DownloadProgress) => void {
  let tenths = -1
  return ({ loadedBytes, totalBytes }) => {
    const reached = totalBytes === 0 ? 10 : Math.floor((10 * loadedBytes) / totalBytes)
    if (reached <= tenths) return
    tenths = reached
    log(`downloading ${model}: ${10 * reached} % of ${(totalBytes / 2 ** 20).toFixed(0)} MiB`)
  }
}
