import { checkSignal, wrongType } from '../check.js'
import type { DownloadProgress } from '../weights/hub.js'
import type { LocateOptions } from '../weights/hub-model.js'
import type { LoadOptions } from './config.js'

/** How far a load is. */
export interface LoadProgress {
  /** Files of a Hugging Face model are downloaded; then weights are brought into memory. */
  readonly phase: 'download' | 'weights'
  /** The file that is being downloaded. */
  readonly file?: string
  /** Of this phase; what a cache had already counts as loaded. */
  readonly loadedBytes: number
  readonly totalBytes: number
  /** Of the bytes, from 0 to 1. */
  readonly fraction: number
}

/** Milliseconds between two reports of a phase, the last apart. */
const INTERVAL = 100

/** A load as its caller watches it: reports its progress, now and then, and knows whether it is called off. */
export class Loading {
  /** Aborted when the caller's signal is, or `onProgress` throws; with that reason. */
  readonly signal: AbortSignal
  readonly #onProgress: (progress: LoadProgress) => void
  readonly #own = new AbortController()
  #last: LoadProgress | null = null
  #lastTime = 0

  /** Without an `onProgress` of the caller's, `otherwise` is told. */
  constructor(options: LoadOptions, otherwise: (progress: LoadProgress) => void) {
    const { onProgress = otherwise, signal } = options
    if (typeof onProgress !== 'function') throw wrongType('onProgress', 'a function', onProgress)
    this.#onProgress = onProgress
    const own = this.#own.signal
    this.signal = signal === undefined ? own : AbortSignal.any([checkSignal('signal', signal), own])
  }

  /** What finding a model has to know of it. */
  get whileLocating(): Pick<LocateOptions, 'onProgress' | 'signal'> {
    const onProgress = (progress: DownloadProgress) =>
      this.#report({ phase: 'download', ...progress })
    return { onProgress, signal: this.signal }
  }

  /** Told by the addon. */
  readonly onWeights = (loadedBytes: number, totalBytes: number): void => {
    this.#report({ phase: 'weights', loadedBytes, totalBytes })
  }

  #report(progress: Omit<LoadProgress, 'fraction'>): void {
    if (this.signal.aborted) return
    const { phase, loadedBytes, totalBytes } = progress
    const fraction = totalBytes === 0 ? 1 : loadedBytes / totalBytes
    const now = performance.now()
    if (this.#last?.phase === phase) {
      if (this.#last.fraction === fraction) return
      if (fraction < 1 && now - this.#lastTime < INTERVAL) return
    }
    this.#last = { ...progress, fraction }
    this.#lastTime = now
    try {
      this.#onProgress(this.#last)
    } catch (error) {
      this.#own.abort(error)
    }
  }
}
