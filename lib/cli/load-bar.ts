import { SingleBar } from 'cli-progress'
import type { LoadProgress } from '../engine/loading.js'
import { bytes } from './terminal.js'

/** Shows on standard error how far a load is, where that is a terminal. */
export class LoadBar {
  readonly #bar = new SingleBar({
    format: '{what} {bar} {percentage} % of {size}',
    stream: process.stderr,
    clearOnComplete: true,
    barsize: 30,
  })

  /** Shows a load until it ends, however that is. */
  static async during<T>(load: (bar: LoadBar) => Promise<T>): Promise<T> {
    const bar = new LoadBar()
    try {
      return await load(bar)
    } finally {
      bar.#bar.stop()
    }
  }

  readonly onProgress = (progress: LoadProgress): void => {
    const { phase, file: what = phase, fraction, loadedBytes, totalBytes } = progress
    const payload = { what, size: bytes(totalBytes) }
    // Weights that are loaded at once are not worth a bar.
    if (phase === 'weights' && (fraction === 0 || fraction === 1)) this.#bar.stop()
    else if (this.#bar.isActive) this.#bar.update(loadedBytes, payload)
    else this.#bar.start(totalBytes, loadedBytes, payload)
  }
}
