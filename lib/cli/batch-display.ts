import { SingleBar } from 'cli-progress'
import type { BatchProgress } from '../openai/batch-progress.js'
import { count, duration, note, percent, rate } from './terminal.js'

/** Seconds between two lines where there is no terminal to draw a bar on. */
const LINE_INTERVAL = 10

/** Shows a batch's progress on standard error: a bar on a terminal, else a line now and then. */
export class BatchDisplay {
  readonly #bar: SingleBar | null = process.stderr.isTTY ? makeBar() : null
  #lastLine = 0

  show(progress: BatchProgress): void {
    if (this.#bar === null) this.#showLine(progress)
    else this.#showBar(this.#bar, progress)
  }

  stop(): void {
    this.#bar?.stop()
  }

  #showBar(bar: SingleBar, progress: BatchProgress): void {
    const { finished, total } = progress
    const payload = { pace: pace(progress) }
    if (bar.isActive) bar.update(finished, payload)
    else bar.start(total, finished, payload)
  }

  #showLine(progress: BatchProgress): void {
    const { finished, total, seconds } = progress
    if (seconds - this.#lastLine < LINE_INTERVAL) return
    this.#lastLine = seconds
    note(`${finished} of ${total} · ${pace(progress)}`)
  }
}

/** What a run did, once it is over. */
export function resultLine(progress: BatchProgress, output: string): string {
  const { finished, skipped, failed, generatedTokens, seconds } = progress
  const earlier = skipped > 0 ? `, ${skipped} of them by an earlier run` : ''
  const errors = failed > 0 ? ` · ${count(failed, 'error')}, see their lines` : ''
  const tokens = `${count(generatedTokens, 'token')} in ${duration(seconds)}, ${rate(generatedTokens, seconds)}`
  return `${count(finished, 'result')} in ${output}${earlier} · ${tokens}${errors}`
}

function makeBar(): SingleBar {
  return new SingleBar({
    format: '{bar} {percentage} % · {value} of {total} · {pace}',
    stream: process.stderr,
    barsize: 24,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    hideCursor: true,
  })
}

function pace({ generatedTokens, seconds, cacheUsage, secondsLeft }: BatchProgress): string {
  const left = secondsLeft === null ? [] : [`${duration(secondsLeft)} left`]
  return [rate(generatedTokens, seconds), `cache ${percent(cacheUsage)}`, ...left].join(' · ')
}
