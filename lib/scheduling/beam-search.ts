/** How a request searches for its most likely outputs. */
export interface BeamSearchOptions {
  /** Outputs that are followed at once. */
  readonly width: number
  /** An output's score is its log-probability divided by its length to this power. */
  readonly lengthPenalty: number
  /** When to give up on better outputs once `width` are finished (see `#mayImprove`). */
  readonly earlyStopping: boolean | 'never'
  readonly maxTokens: number
  readonly minTokens: number
  /** Tokens that end an output. */
  readonly endTokenIds: ReadonlySet<number>
}

/** The most likely tokens after an output, in falling order. */
export interface NextTokens {
  readonly ids: Int32Array
  readonly logprobs: Float32Array
}

/** An output up to one of its tokens; outputs that began alike share their beginning. */
export interface Path {
  readonly before: Path | null
  readonly token: number
  /** The token's log-probability, and the tokens that it was chosen from. */
  readonly logprob: number
  readonly row: NextTokens
  /** Tokens, and the sum of their log-probabilities. */
  readonly length: number
  readonly total: number
}

/** An output that is followed, and which sequence of the group carries it. */
interface Beam {
  readonly carrier: number
  readonly path: Path | null
}

/** An output and its place among the others: higher is better. */
export interface ScoredPath {
  readonly path: Path
  readonly score: number
}

/** A beam of the next step: the sequence `to` continues the output of `from` by a token. */
export interface BeamMove {
  readonly from: number
  readonly to: number
  readonly token: number
}

interface Candidate {
  readonly parent: Beam
  readonly path: Path
}

/**
 * The search of one request, step by step, as Hugging Face's `generate` does it. Of all one-token
 * continuations of the beams, in falling order of log-probability, the first `width` that end an
 * output are finished if they are among the first `width` of all, and the first `width` that do not
 * are the next beams.
 */
export class BeamSearch {
  readonly #options: BeamSearchOptions
  #running: readonly Beam[] = [{ carrier: 0, path: null }]
  readonly #rows: NextTokens[] = []
  /** At most `width`, the best first. */
  #finished: readonly ScoredPath[] = []

  constructor(options: BeamSearchOptions) {
    this.#options = options
  }

  /**
   * Tokens that each row must offer: with them, `width` continuations that go on are known, whatever
   * ends an output.
   */
  get rowSize(): number {
    return this.#options.width + this.#options.endTokenIds.size
  }

  /** Whether no further step could change the result. */
  get over(): boolean {
    return this.#running.length === 0
  }

  /** What may follow the output that a sequence carries. */
  offer(carrier: number, row: NextTokens): void {
    this.#rows[carrier] = row
  }

  /** Chooses the next beams once every carrier has its row: none when the search is over. */
  advance(): readonly BeamMove[] {
    const { width } = this.#options
    const { ended, kept } = selectBeams(this.#candidates(), width, (path) => this.#ends(path))
    this.#finish(ended)
    const best = kept[0]
    if (best === undefined || (this.#full && !this.#mayImprove(best.path))) {
      this.#running = []
      return []
    }
    const carriers = assignCarriers(kept, width)
    this.#running = kept.map(({ path }, i) => ({ carrier: carriers[i]!, path }))
    return kept.map(({ parent, path: { token } }, i) => {
      return { from: parent.carrier, to: carriers[i]!, token }
    })
  }

  /** The best outputs so far, those that are still followed among them, the best first. */
  best(count: number): readonly ScoredPath[] {
    const running = this.#running.flatMap(({ path }) => (path === null ? [] : [this.#score(path)]))
    return byScore([...this.#finished, ...running]).slice(0, count)
  }

  get #full(): boolean {
    return this.#finished.length === this.#options.width
  }

  #candidates(): readonly Candidate[] {
    const { minTokens, endTokenIds } = this.#options
    const all: Candidate[] = []
    for (const parent of this.#running) {
      const { path: before, carrier } = parent
      const row = this.#rows[carrier]!
      const length = (before?.length ?? 0) + 1
      row.ids.forEach((token, i) => {
        if (length < minTokens && endTokenIds.has(token)) return
        const logprob = row.logprobs[i]!
        const total = (before?.total ?? 0) + logprob
        all.push({ parent, path: { before, token, logprob, row, length, total } })
      })
    }
    return all.sort((a, b) => descending(a.path.total, b.path.total))
  }

  #ends({ token, length }: Path): boolean {
    return length === this.#options.maxTokens || this.#options.endTokenIds.has(token)
  }

  #finish(ended: readonly Path[]): void {
    const scored = ended.map((path) => this.#score(path))
    this.#finished = byScore([...this.#finished, ...scored]).slice(0, this.#options.width)
  }

  /**
   * Whether what follows the best beam could still be among the first `width`. `true` does not ask.
   * `false` takes the score that the beam has now for the best that it can reach; with a penalty above
   * 0 a longer output may do better, and 'never' reckons with that.
   */
  #mayImprove({ total, length }: Path): boolean {
    const { earlyStopping, lengthPenalty, maxTokens } = this.#options
    if (earlyStopping === true) return false
    const longest = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : length
    return total / longest ** lengthPenalty > this.#finished.at(-1)!.score
  }

  #score(path: Path): ScoredPath {
    return { path, score: path.total / path.length ** this.#options.lengthPenalty }
  }
}

/**
 * Divides continuations, which come in falling order: those that end an output count only among the
 * first `width` of all; of the others the first `width` go on.
 */
function selectBeams<C extends { readonly path: Path }>(
  candidates: readonly C[],
  width: number,
  ends: (path: Path) => boolean,
): { readonly ended: readonly Path[]; readonly kept: readonly C[] } {
  const ended: Path[] = []
  const kept: C[] = []
  for (const [rank, candidate] of candidates.entries()) {
    if (rank >= width && kept.length === width) break
    if (!ends(candidate.path)) kept.push(candidate)
    else if (rank < width) ended.push(candidate.path)
  }
  return { ended, kept }
}

/** A beam's first continuation stays where it is; the others go where a beam was dropped. */
function assignCarriers(kept: readonly Candidate[], width: number): readonly number[] {
  const taken = new Set<number>()
  const stays = kept.map(({ parent: { carrier } }) => {
    if (taken.has(carrier)) return null
    taken.add(carrier)
    return carrier
  })
  const idle = Array.from({ length: width }, (_, i) => i).filter((i) => !taken.has(i))
  return stays.map((carrier) => carrier ?? idle.shift()!)
}

function byScore(paths: ScoredPath[]): ScoredPath[] {
  return paths.sort((a, b) => descending(a.score, b.score))
}

/** Sorting is stable, so equals stay in order. Differences would be NaN where both are −Infinity. */
function descending(a: number, b: number): number {
  return a > b ? -1 : a < b ? 1 : 0
}
