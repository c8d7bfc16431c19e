interface Merge {
  readonly left: string
  readonly right: string
  readonly score: number
  readonly leftId: number
  readonly rightId: number
}

/**
 * The merges that SentencePiece's BPE makes of a vocabulary, first to last: any two tokens that
 * together are a token, the one with the best score first.
 */
export function mergesOfScores(
  tokens: readonly string[],
  scores: readonly number[],
): readonly (readonly [string, string])[] {
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const merges = tokens.flatMap((token, id) => splits(token, scores[id] ?? 0, ids))
  return merges.sort(byRank).map(({ left, right }) => [left, right])
}

function splits(token: string, score: number, ids: ReadonlyMap<string, number>): Merge[] {
  const found: Merge[] = []
  for (let end = 1; end < token.length; end++) {
    const left = token.slice(0, end)
    const leftId = ids.get(left)
    if (leftId === undefined) continue
    const right = token.slice(end)
    const rightId = ids.get(right)
    if (rightId !== undefined) found.push({ left, right, score, leftId, rightId })
  }
  return found
}

/** Of equal scores the longer left half comes first, as transformers orders them. */
function byRank(a: Merge, b: Merge): number {
  return (
    b.score - a.score ||
    b.left.length - a.left.length ||
    b.right.length - a.right.length ||
    a.leftId - b.leftId ||
    a.rightId - b.rightId
  )
}
