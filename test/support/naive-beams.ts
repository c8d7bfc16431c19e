import type { BeamSearchOptions } from '../../lib/scheduling/beam-search.js'

/** Log-probabilities of every next token after each of some outputs. */
export type NextLogprobs = (
  outputs: readonly (readonly number[])[],
) => Promise<readonly ArrayLike<number>[]>

export interface NaiveOutput {
  readonly tokens: readonly number[]
  readonly total: number
  readonly score: number
}

export interface NaiveOptions extends BeamSearchOptions {
  /** Whether outputs of this length can go on; by default always. */
  readonly fits?: (length: number) => boolean
}

/**
 * Beam search as Hugging Face's `generate` does it, over whole vocabularies, with copied token lists
 * and no cache: the best outputs, at most `width`, the best first.
 */
export async function naiveBeams(
  next: NextLogprobs,
  options: NaiveOptions,
): Promise<readonly NaiveOutput[]> {
  const { width, lengthPenalty, earlyStopping, maxTokens, minTokens, endTokenIds } = options
  const scored = (tokens: readonly number[], total: number): NaiveOutput => {
    return { tokens, total, score: total / tokens.length ** lengthPenalty }
  }
  const best = (outputs: readonly NaiveOutput[]) =>
    outputs.toSorted((a, b) => b.score - a.score).slice(0, width)
  let running = [{ tokens: [] as readonly number[], total: 0 }]
  let finished: readonly NaiveOutput[] = []
  for (let length = 1; ; length++) {
    const rows = await next(running.map(({ tokens }) => tokens))
    const ends = (token: number) => endTokenIds.has(token)
    const continuations = running
      .flatMap(({ tokens, total }, beam) =>
        Array.from(rows[beam]!, (logprob, token) => ({
          tokens: [...tokens, token],
          total: ends(token) && length < minTokens ? -1e9 : total + logprob,
          ended: ends(token) || length === maxTokens,
        })),
      )
      .toSorted((a, b) => b.total - a.total)
      .slice(0, Math.max(2, 1 + endTokenIds.size) * width)
    const justEnded = continuations.slice(0, width).filter(({ ended }) => ended)
    finished = best([...finished, ...justEnded.map(({ tokens, total }) => scored(tokens, total))])
    running = continuations.filter(({ ended }) => !ended).slice(0, width)
    if (running.length === 0) return finished
    const full = finished.length === width
    const reach = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : length
    const hope = running[0]!.total / reach ** lengthPenalty
    if (full && (earlyStopping === true || hope <= finished.at(-1)!.score)) return finished
    if (options.fits?.(length) === false) {
      return best([...finished, ...running.map(({ tokens, total }) => scored(tokens, total))])
    }
  }
}
