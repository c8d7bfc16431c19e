import type { CompletionOutput, Logprob, TokenLogprobs } from '../engine/outputs.js'

type Scored = Pick<CompletionOutput, 'logprobs' | 'tokenIds'>

/** The older form, which begins `start` characters into the text: parallel arrays. */
export function completionLogprobs({ logprobs = [], tokenIds }: Scored, start = 0) {
  return withOffsets(logprobs, tokenIds, start)
}

/** The same for a prompt, whose first token has no log-probability, and what follows it. */
export function echoLogprobs(
  prompt: readonly (TokenLogprobs | null)[],
  promptTokenIds: readonly number[],
  textOf: (tokenId: number) => string,
  output: Scored,
) {
  return withOffsets(
    [...prompt, ...(output.logprobs ?? [])],
    [...promptTokenIds, ...output.tokenIds],
    0,
    textOf,
  )
}

function withOffsets(
  positions: readonly (TokenLogprobs | null)[],
  tokenIds: readonly number[],
  start: number,
  textOf: (tokenId: number) => string = () => '',
) {
  const chosen = positions.map((position, i) => position?.get(tokenIds[i]!) ?? null)
  const tokens = chosen.map((token, i) => token?.decodedToken ?? textOf(tokenIds[i]!))
  let end = start
  return {
    tokens,
    token_logprobs: chosen.map((token) => (token === null ? null : token.logprob)),
    top_logprobs: positions.map((position) => position && byText(position)),
    text_offset: tokens.map((token) => (end += token.length) - token.length),
  }
}

function byText(position: TokenLogprobs): Record<string, number> {
  return Object.fromEntries(
    byRank(position).map(({ decodedToken, logprob }) => [decodedToken, logprob]),
  )
}

/** Chat's form: an object a token, with the `most` likely ones in its place; -1: with all. */
export function chatLogprobs({ logprobs = [], tokenIds }: Scored, most: number) {
  return {
    content: logprobs.map((position, i) => ({
      ...tokenLogprob(position.get(tokenIds[i]!)!),
      top_logprobs: mostLikely(position, most).map(tokenLogprob),
    })),
    refusal: null,
  }
}

/** vLLM's form of a prompt's: an object by token id for each position. */
export function promptLogprobs(positions: readonly (TokenLogprobs | null)[]) {
  return positions.map(
    (position) =>
      position &&
      Object.fromEntries(
        [...position].map(([id, { logprob, rank, decodedToken }]) => [
          id,
          { logprob, rank, decoded_token: decodedToken },
        ]),
      ),
  )
}

/** Without the chosen token where it is not one of them: then it is the last. */
function mostLikely(position: TokenLogprobs, most: number): Logprob[] {
  return byRank(position).slice(0, most === -1 ? Infinity : most)
}

function byRank(position: TokenLogprobs): Logprob[] {
  return [...position.values()].sort((a, b) => a.rank - b.rank)
}

function tokenLogprob({ decodedToken, logprob }: Logprob) {
  return { token: decodedToken, logprob, bytes: [...Buffer.from(decodedToken)] }
}
