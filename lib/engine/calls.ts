import type { CallOptions, TraceHeaders } from './call-options.js'
import type { OutputDelta, RequestOutput } from './outputs.js'
import type { Request, RequestListener } from './request.js'
import { Waiter } from './waiter.js'

/** Makes the request of a call; its prompt is tokenised meanwhile. */
export type Admission = (listener: RequestListener) => Promise<Request>

/** The engine, as requests whose callers await them need it. */
export interface CallHost {
  /** Queues a request, and steps until it is over. */
  enter(request: Request): void
  abort(requestId: string): void
}

/** Runs a request to its end, and gives its output. */
export async function runCall(
  host: CallHost,
  admit: Admission,
  options: CallOptions = {},
): Promise<RequestOutput> {
  return (await runRequest(host, admit, options)).output()
}

/** Runs a request to its end; one whose caller gives up by the signal is ended. */
export async function runRequest(
  host: CallHost,
  admit: Admission,
  options: CallOptions = {},
): Promise<Request> {
  const waiter = new Waiter(options.signal)
  try {
    const request = await begin(host, admit, waiter, options)
    await waiter.ended()
    return request
  } finally {
    leave(host, waiter)
  }
}

/** A request's deltas as they are made. */
export interface OutputStream extends AsyncGenerator<OutputDelta, void, undefined> {
  /** The id that its deltas bear; null until the prompt is tokenised. */
  requestId(): string | null
  /** Everything so far; null until the prompt is tokenised. */
  output(): RequestOutput | null
}

/** Runs a request and gives what each step adds; one whose caller leaves the loop is ended. */
export function streamCall(
  host: CallHost,
  admit: Admission,
  options: CallOptions = {},
): OutputStream {
  let begun: Request | null = null
  const admitted = async (waiter: RequestListener) => (begun = await admit(waiter))
  return Object.assign(deltasOf(host, admitted, options), {
    requestId: () => begun?.id ?? null,
    output: () => begun?.output() ?? null,
  })
}

async function* deltasOf(
  host: CallHost,
  admit: Admission,
  options: CallOptions = {},
): AsyncGenerator<OutputDelta, void, undefined> {
  const waiter = new Waiter(options.signal)
  try {
    const request = await begin(host, admit, waiter, options)
    for (let finished = false; !finished;) {
      await waiter.moved()
      finished = request.finished
      for (const delta of request.takeDeltas()) yield delta
    }
  } finally {
    leave(host, waiter)
  }
}

async function begin(
  host: CallHost,
  admit: Admission,
  waiter: Waiter,
  { traceHeaders = null }: { readonly traceHeaders?: TraceHeaders | null },
): Promise<Request> {
  waiter.check()
  const request = await admit(waiter)
  request.traceHeaders = traceHeaders
  try {
    waiter.check()
    host.enter(request)
  } catch (error) {
    request.release()
    throw error
  }
  waiter.request = request
  waiter.onGivenUp = () => host.abort(request.id)
  return request
}

/** The caller waits no longer: by then its request is over, or it is ended here. */
function leave(host: CallHost, waiter: Waiter): void {
  waiter.release()
  if (waiter.request?.finished === false) host.abort(waiter.request.id)
}
