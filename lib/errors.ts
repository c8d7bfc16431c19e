/** What kind of failure an {@link EngineError} reports. */
export type EngineErrorCode =
  | 'model_not_found'
  | 'unsupported_model'
  | 'invalid_file'
  | 'out_of_memory'
  | 'device_unavailable'
  | 'not_supported'
  | 'busy'
  | 'closed'
  | 'engine_dead'

/**
 * A failure of the engine or of a file it reads. Misuse of an option throws TypeError or RangeError
 * instead.
 *
 * @example
 * try { await LLMEngine.load('no/such/model') }
 * catch (error) { if (error instanceof EngineError && error.code === 'model_not_found') … }
 */
export class EngineError extends Error {
  override readonly name = 'EngineError'

  constructor(
    readonly code: EngineErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }
}

/** Of a load that the addon refused, which knows files and memory, but none of these codes. */
export function loadError(error: Error, before = ''): EngineError {
  const code = error.message.includes('out of memory') ? 'out_of_memory' : 'invalid_file'
  return new EngineError(code, `${before}${error.message}`, { cause: error })
}

/** Misuse that clients tell from others: a prompt is longer than the model takes. */
export class PromptTooLongError extends RangeError {}

/** What an error says, and what is behind it: fetch alone says 'fetch failed' whatever happened. */
export function withCause(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { message, cause } = error
  if (!(cause instanceof Error)) return message
  return `${message}: ${cause.message || ((cause as NodeJS.ErrnoException).code ?? cause.name)}`
}
