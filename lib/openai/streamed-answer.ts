import type { OutputDelta } from '../engine/outputs.js'
import { openAiError } from './errors.js'

/** A streamed answer: what the engine gives, and the text of the server-sent events that tell of it. */
export interface StreamedAnswer {
  readonly deltas: AsyncGenerator<OutputDelta, void, undefined>
  /** The events of a delta; '' when it has nothing to tell. */
  write(delta: OutputDelta): string
  /** Those that follow the last delta. */
  end(): string
  /** Those that follow a failure after the first event. */
  fail(error: unknown): string
}

/** An event whose name is its type. */
export type NamedEvent = Readonly<Record<string, unknown>> & { readonly type: string }

/** The text of events with names. */
export function namedEvents(events: readonly NamedEvent[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
}

/** How a stream of events without names ends. */
export const DONE = 'data: [DONE]\n\n'

/** How such a stream ends when it fails. */
export function failedStream(error: unknown): string {
  return `data: ${JSON.stringify(openAiError(error).body)}\n\n${DONE}`
}
