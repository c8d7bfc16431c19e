import type { DrawRules, LogitBias, SharedMaskRows } from '../native/draw-rules.js'
import type { SamplingParams } from '../sampling-params.js'
import type { Sequence } from '../scheduling/sequence.js'

/** The ids that the token behind so many of a sequence's drafts must not be, because they would end a bad word. */
export type BannedNext = (sequence: Sequence, drafts: number) => readonly number[]

export interface DrawRulesOptions {
  readonly params: SamplingParams
  /** Tokens that end a sequence by the model's own configuration. */
  readonly eosTokenIds: readonly number[]
  readonly vocabSize: number
  /** null: the request has no bad words. */
  readonly bannedNext: BannedNext | null
  /** null: the request follows no grammar. */
  readonly sharedMasks: SharedMaskRows | null
  /** Most likely tokens that a search needs of each row; 0 without one. */
  readonly rowSize: number
}

/** The rules of a request's draws: bias, bad words, a minimum length and a set of allowed tokens. */
export function makeDrawRules(options: DrawRulesOptions): DrawRules {
  const { params, eosTokenIds, vocabSize, bannedNext } = options
  const fixed: LogitBias | null =
    params.logitBias.size === 0
      ? null
      : { ids: [...params.logitBias.keys()], values: [...params.logitBias.values()] }
  if (params.beamWidth !== null) return makeBeamRules(options)
  // A tokenizer may know tokens that the model cannot draw.
  const drawable = (id: number) => id < vocabSize
  const endings = [...eosTokenIds, ...params.stopTokenIds].filter(drawable)

  const biases = (sequence: Sequence, drafts: number): LogitBias | null => {
    const early = sequence.outputLength + drafts < params.minTokens ? endings : []
    const banned = bannedNext?.(sequence, drafts).filter(drawable) ?? []
    if (early.length === 0 && banned.length === 0) return fixed
    const forbidden = [...early, ...banned]
    return {
      ids: [...(fixed?.ids ?? []), ...forbidden],
      values: [...(fixed?.values ?? []), ...forbidden.map(() => -Infinity)],
    }
  }
  return {
    logprobs: params.logprobs ?? (params.bestOf > params.n ? 0 : -1),
    mask: params.allowedTokenIds === null ? null : maskOf(params.allowedTokenIds, vocabSize),
    sharedMasks: options.sharedMasks,
    biases: fixed === null && endings.length === 0 && bannedNext === null ? () => null : biases,
  }
}

/** A search ignores what is drawn, and chooses among the most likely tokens by itself. */
function makeBeamRules({ params, rowSize }: DrawRulesOptions): DrawRules {
  return {
    logprobs: Math.max(rowSize, params.logprobs ?? 0),
    mask: null,
    sharedMasks: null,
    biases: () => null,
  }
}

function maskOf(allowed: readonly number[], vocabSize: number): Int32Array {
  const mask = new Int32Array(Math.ceil(vocabSize / 32))
  for (const id of allowed) mask[id >> 5] = mask[id >> 5]! | (1 << (id & 31))
  return mask
}
