import { EngineError } from '../errors.js'
import type { Scheduler } from '../scheduling/scheduler.js'
import type { SequenceGroup } from '../scheduling/sequence.js'
import type { EngineConfig } from './config.js'
import type { Request, RequestListener } from './request.js'

/**
 * A beginning of prompts whose keys and values stay in the cache until it is released.
 *
 * @example
 * const prefix = await engine.cachePrefix(instructions)
 * const outputs = await engine.generate(questions.map((question) => instructions + question))
 * prefix.release()
 */
export class PinnedPrefix {
  /** Tokens that are kept: those of the prompt that fill whole blocks. */
  readonly tokens: number
  readonly #scheduler: Scheduler
  readonly #group: SequenceGroup

  constructor(scheduler: Scheduler, group: SequenceGroup) {
    const tokens = scheduler.pin(group)
    if (tokens === null) {
      throw new EngineError(
        'out_of_memory',
        `cachePrefix: ${group.promptLength} tokens leave too few blocks for the requests under way`,
      )
    }
    this.tokens = tokens
    this.#scheduler = scheduler
    this.#group = group
  }

  /** Lets the cache evict the prefix when it needs the memory. Harmless a second time. */
  release(): void {
    this.#scheduler.unpin(this.#group)
  }
}

/** Pins a request's prompt in the very step that ends it, before another one can evict its blocks. */
class PinningListener implements RequestListener {
  /** null until the request has ended. */
  pinned: PinnedPrefix | null = null
  readonly #scheduler: Scheduler
  #next: RequestListener | null = null

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  /** Tells another listener afterwards. */
  before(next: RequestListener): this {
    this.#next = next
    return this
  }

  onMoved(request: Request): void {
    this.#next?.onMoved(request)
  }

  onEnded(request: Request): void {
    try {
      this.pinned = new PinnedPrefix(this.#scheduler, request.group)
    } catch (error) {
      this.onError(error)
    }
    this.#next?.onEnded(request)
  }

  onError(error: unknown): void {
    this.#next?.onError(error)
  }
}

/** Throws `not_supported` where nothing can be pinned. */
export function checkPins({ enablePrefixCaching }: EngineConfig): void {
  if (enablePrefixCaching) return
  throw new EngineError('not_supported', 'cachePrefix: needs enablePrefixCaching')
}

/** Runs a request, and gives its prompt as it was pinned at the request's end. */
export async function pinPrompt(
  scheduler: Scheduler,
  run: (pinning: PinningListener) => Promise<unknown>,
): Promise<PinnedPrefix> {
  const pinning = new PinningListener(scheduler)
  try {
    await run(pinning)
  } catch (error) {
    pinning.pinned?.release()
    throw error
  }
  return pinning.pinned!
}
