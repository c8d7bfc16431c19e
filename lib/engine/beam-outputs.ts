import type { BeamSearch, Path } from '../scheduling/beam-search.js'
import type { OutputBuilder } from './output-builder.js'
import type { TokenLogprobs } from './outputs.js'

/**
 * Writes the best outputs of a search into their builders. One that goes on, because the search was
 * broken off, is left without an ending.
 */
export function writeBeams(
  beams: BeamSearch,
  builders: readonly OutputBuilder[],
  readPath: (path: Path) => TokenLogprobs,
): void {
  const best = beams.best(builders.length)
  for (const [i, { path, score }] of best.entries()) {
    const builder = builders[i]!
    for (const each of fromTheFirst(path)) {
      builder.push(each.token, each.logprob, () => readPath(each))
    }
    builder.completion.score = score
  }
}

function fromTheFirst(last: Path): readonly Path[] {
  const paths: Path[] = []
  for (let path: Path | null = last; path !== null; path = path.before) paths.push(path)
  return paths.reverse()
}
