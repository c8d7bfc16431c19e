import type { Row } from './rows.js'

/** What a figure shows in the end. */
export interface FigureReport {
  /** SVG. */
  readonly plot: string
  readonly rows: readonly Row[]
  /** What a reader should know beside the numbers. */
  readonly notes: readonly string[]
}

interface FigureText {
  /** Also the name of its files. */
  readonly id: string
  readonly title: string
  readonly about: string
}

export interface FigureSpec<Job, Result> extends FigureText {
  /** Parts that can run side by side, the longest first; fewer and shorter ones when it must be quick. */
  jobs(quick: boolean): readonly Job[]
  run(job: Job): Result
  /** Results are in the order of the jobs. */
  report(results: readonly Result[]): FigureReport
}

/** A figure to redraw. Jobs and results are plain data, so that they can cross between threads. */
export interface Figure extends FigureText {
  jobs(quick: boolean): readonly unknown[]
  run(job: unknown): unknown
  report(results: readonly unknown[]): FigureReport
}

/** Forgets the types of a figure's jobs and results, which never meet those of another. */
export function defineFigure<Job, Result>(spec: FigureSpec<Job, Result>): Figure {
  const { id, title, about } = spec
  return {
    id,
    title,
    about,
    jobs: (quick) => spec.jobs(quick),
    run: (job) => spec.run(job as Job),
    report: (results) => spec.report(results as Result[]),
  }
}
