/** A request of a load: when it comes, what it asks for. */
export interface PlannedRequest {
  /** Seconds after the beginning. */
  readonly at: number
  readonly prompt: string
  readonly maxTokens: number
}

export interface WorkloadOptions {
  readonly count: number
  /** Requests a second, by a Poisson process; Infinity: all at once. */
  readonly rate: number
  readonly seed: number
  /** Mean words of a prompt, and mean tokens of an output. */
  readonly promptWords: number
  readonly outputTokens: number
  /** Words that all prompts begin with. */
  readonly sharedWords: number
  /** Spread of lengths about their mean: 0 for equal ones. */
  readonly spread: number
}

/** ShareGPT's lengths, as the paper on PagedAttention counts them, and how wide they spread. */
export const SHAREGPT = { promptWords: 120, outputTokens: 338, spread: 1 }

const WORDS =
  'time day cat girl boy tree house river small big happy went saw found said made'.split(' ')

/** The requests of a load; the same for the same seed. */
export function planWorkload(options: WorkloadOptions): readonly PlannedRequest[] {
  const random = numbersOf(options.seed)
  const words = (count: number) =>
    Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(' ')
  const shared = options.sharedWords > 0 ? `${words(options.sharedWords)} ` : ''
  let at = 0
  return Array.from({ length: options.count }, () => {
    const request = {
      at,
      prompt: shared + words(lengthOf(options.promptWords, options.spread, random)),
      maxTokens: lengthOf(options.outputTokens, options.spread, random),
    }
    if (options.rate !== Infinity) at += -Math.log(1 - random()) / options.rate
    return request
  })
}

/** Log-normal with this mean, as lengths of chats about are; at least 1. */
function lengthOf(mean: number, spread: number, random: () => number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return Math.max(1, Math.round(mean * Math.exp(spread * normal - (spread * spread) / 2)))
}

/** mulberry32: numbers from 0 to 1. */
function numbersOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
