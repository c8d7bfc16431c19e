import { openAiError } from '../openai/errors.js'
import type { Reply } from './exchange.js'

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // nginx would otherwise hold the stream back.
  'x-accel-buffering': 'no',
}

/** An answer of server-sent events, once there is a first one: what fails before is an error's reply. */
export async function eventStream(
  texts: AsyncGenerator<string, void, undefined>,
  onFailure: (error: unknown) => string,
): Promise<Reply> {
  const first = await texts.next()
  return { status: 200, headers: HEADERS, body: continued(first, texts, onFailure) }
}

async function* continued(
  first: IteratorResult<string, void>,
  rest: AsyncGenerator<string, void, undefined>,
  onFailure: (error: unknown) => string,
): AsyncGenerator<string, void, undefined> {
  try {
    if (first.done !== true) yield first.value
    yield* rest
  } catch (error) {
    yield onFailure(error)
  } finally {
    await rest.return()
  }
}

/** OpenAI's events: JSON without a name, and a mark at the end. */
export async function* dataEvents(
  batches: AsyncIterable<readonly object[]>,
): AsyncGenerator<string, void, undefined> {
  for await (const batch of batches) {
    let text = ''
    for (const chunk of batch) text += `data: ${JSON.stringify(chunk)}\n\n`
    if (text !== '') yield text
  }
  yield DONE
}

/** Events that are named by their type. */
export async function* namedEvents(
  batches: AsyncIterable<readonly { readonly type: string }[]>,
): AsyncGenerator<string, void, undefined> {
  for await (const batch of batches) {
    const text = batch
      .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      .join('')
    if (text !== '') yield text
  }
}

const DONE = 'data: [DONE]\n\n'

/** How a stream of data events ends when it fails. */
export function failedData(error: unknown): string {
  return `data: ${JSON.stringify(openAiError(error).body)}\n\n${DONE}`
}
