import type { StreamedAnswer } from '../openai/streamed-answer.js'
import type { Reply } from './exchange.js'
import type { Pace } from './pace.js'

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // nginx would otherwise hold the stream back.
  'x-accel-buffering': 'no',
}

/** An answer of server-sent events, once there is a first one: what fails before is an error's reply. */
export async function eventStream(texts: AsyncGenerator<string, void, undefined>): Promise<Reply> {
  const first = await texts.next()
  return { status: 200, headers: HEADERS, body: resumed(first, texts) }
}

/** What is left of a generator of which one item was taken, that one included. */
function resumed<T>(
  first: IteratorResult<T, void>,
  rest: AsyncGenerator<T, void, undefined>,
): AsyncIterable<T> {
  let next = () => {
    next = () => rest.next()
    return Promise.resolve(first)
  }
  return { [Symbol.asyncIterator]: () => ({ next: () => next(), return: () => rest.return() }) }
}

/** The events of an answer, no faster than the pace allows. */
export async function* eventsOf(
  answer: StreamedAnswer,
  pace: Pace,
): AsyncGenerator<string, void, undefined> {
  let begun = false
  try {
    for await (const delta of answer.deltas) {
      const text = answer.write(delta)
      if (text === '') continue
      begun = true
      yield text
      const turn = delta.finishReason === null ? pace.turn() : null
      if (turn !== null) await turn
    }
    const text = answer.end()
    if (text !== '') yield text
  } catch (error) {
    if (!begun) throw error
    yield answer.fail(error)
  }
}
