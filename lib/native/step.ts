/**
 * The wire format of a step: one Int32Array and one Float32Array in, one of each out.
 * csrc/step.h is its twin; `stepFormatVersion` is checked when the addon is loaded.
 *
 * Int sections, in this order, each of the length that the header gives:
 *   header        [HEADER_INTS]
 *   ids           [T]       token id; or −1−r: the token that row r of the step before sampled; or the
 *                           vocabulary's size + e: row e of the embeddings
 *   positions     [T]
 *   sequences     [S × SEQUENCE_INTS]   first token row, row count, context length (these rows included), the
 *                           sequence's length (tokens of steps to come included), slot of its adapter (−1: none)
 *   tableStarts   [G × S + 1]  group-major; table of (group g, sequence s) is tables[starts[g·S+s] .. starts[g·S+s+1])
 *   tables        [tableLength]  physical block ids
 *   samples       [R × SAMPLE_INTS]
 *   penalties     [n × 3]   token id, times in the output, 1 if in the prompt
 *   biasIds       [n]
 *   masks         [maskCount × maskWords]  bit t of a row is 1 where token t is allowed
 *   copiesBefore  [n × 5]   group, from tier, from block, to tier, to block (tier 0: device)
 *   copiesAfter   [n × 5]
 *   pools         [P × 3]   first token row, row count, where in `carried` the sum so far begins, −1: none
 * Float sections: samples [R × SAMPLE_FLOATS], biasValues [n], carried [carriedLength],
 *   embeddings [E × embeddingColumns].
 *
 * Result ints: header [RESULT_INTS], ids [R], ranks [R], topStarts [R + 1], topIds [topTotal].
 * Result floats: seconds [1], logprobs [R], topLogprobs [topTotal], pooled [pooledLength].
 * A row that asked for no logprobs has rank 0, logprob NaN and no tops. Tops are in falling order; ties by lower id.
 * `pooled` holds a row for each of the step's pools: its token rows added, in order, to the sum so far.
 * A row whose logits are all NaN or −infinity has rank NO_NUMBERS, and its token means nothing; so does
 * that of rank NOTHING_ALLOWED, where the row's shared mask and its other rules leave no token.
 *
 * Shared masks are rows of memory that another thread writes while the step is computed. Native code
 * waits before `sample` until each row that the step names holds the step's ticket (csrc/shared_masks.h).
 */
export const STEP_FORMAT_VERSION = 5

export const HEADER_INTS = 19
export const Header = {
  version: 0,
  stepId: 1,
  plan: 2,
  tokens: 3,
  sequences: 4,
  samples: 5,
  groups: 6,
  tableLength: 7,
  penalties: 8,
  biases: 9,
  masks: 10,
  maskWords: 11,
  copiesBefore: 12,
  copiesAfter: 13,
  /** Of the step's shared masks; 0: none. */
  maskTicket: 14,
  pools: 15,
  /** Numbers of the float section `carried`. */
  carriedLength: 16,
  /** Rows of embeddings, and the columns of each. */
  embeddings: 17,
  embeddingColumns: 18,
} as const

export const SEQUENCE_INTS = 5

export const SAMPLE_INTS = 15
export const SampleInt = {
  tokenRow: 0,
  /** 0: no limit */
  topK: 1,
  seedLow: 2,
  seedHigh: 3,
  /** Index of the sequence in its request: part of the random counter. */
  stream: 4,
  /** Output position of the token to draw: part of the random counter. */
  counter: 5,
  /** −1: none; 0: the chosen token's; n: and the n most likely. */
  logprobs: 6,
  /** −1: draw; else the token whose log-probability is wanted (a prompt's next token); nothing is drawn. */
  target: 7,
  penaltyStart: 8,
  penaltyCount: 9,
  biasStart: 10,
  biasCount: 11,
  /** −1: none */
  mask: 12,
  /** SAMPLE_PROCESSED: log-probabilities after all processors instead of the raw logits'. */
  flags: 13,
  /** Row of the shared masks, −1: none. */
  sharedMask: 14,
} as const
export const SAMPLE_PROCESSED = 1

export const SAMPLE_FLOATS = 6
export const SampleFloat = {
  /** 0: the most likely token; ties go to the lowest id */
  temperature: 0,
  topP: 1,
  minP: 2,
  presencePenalty: 3,
  frequencyPenalty: 4,
  repetitionPenalty: 5,
} as const

export const RESULT_INTS = 5
export const NO_NUMBERS = -1
export const NOTHING_ALLOWED = -2
export const ResultHeader = {
  version: 0,
  stepId: 1,
  samples: 2,
  topTotal: 3,
  pooledLength: 4,
} as const
