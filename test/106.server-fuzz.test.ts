import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { damaged, randomRequest } from './support/random-body.js'
import { TestServer } from './support/server.js'

const server = await TestServer.start({ maxQueueLength: 2000 })
const failure = z.strictObject({
  error: z.strictObject({
    message: z.string().min(1),
    type: z.literal('invalid_request_error'),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
})
const anthropicFailure = z.strictObject({
  type: z.literal('error'),
  error: z.strictObject({
    type: z.enum(['invalid_request_error', 'not_found_error']),
    message: z.string().min(1),
  }),
})
const OBJECTS = ['text_completion', 'chat.completion', 'chat.completion.chunk', 'response', 'list']

/** Fields of answers that name no kind of object. */
const ANSWERS = ['tokens', 'prompt', 'stop_reason', 'input_tokens']

afterEach(() => server.settled())

/** Fails unless a text is an answer, or an error in its API's shape. */
function checkJson(text: string, refused: boolean): void {
  const value = JSON.parse(text) as Readonly<Record<string, unknown>>
  if (value.type === 'error') anthropicFailure.parse(value)
  else if (refused || ('error' in value && value.error !== null)) failure.parse(value)
  else if ('object' in value) expect(OBJECTS).toContain(value.object)
  else expect(Object.keys(value).filter((key) => ANSWERS.includes(key))).toHaveLength(1)
}

function checkEvents(text: string): void {
  const events = text.split('\n\n').filter((event) => event !== '')
  const data = events.map((event) => /^data: (.*)$/m.exec(event)![1]!)
  if (data.at(-1) === '[DONE]') data.slice(0, -1).forEach((each) => checkJson(each, false))
  else expect(data.at(-1)).toMatch(/"type":"(response\.(completed|incomplete)|message_stop)"/)
}

async function check(path: string, body: string | Uint8Array<ArrayBuffer>): Promise<number> {
  const response = await fetch(server.url + path, { method: 'POST', body })
  const text = await response.text()
  const shown = `${path} ${Buffer.from(body).toString()} → ${response.status} ${text}`
  expect(response.status, shown).toBeLessThan(500)
  try {
    if (response.headers.get('content-type')!.startsWith('text/event-stream')) checkEvents(text)
    else checkJson(text, response.status !== 200)
  } catch (error) {
    throw new Error(shown, { cause: error })
  }
  return response.status
}

test("random bodies are answered, or refused in their API's shape", async () => {
  const runs = process.env.OCTAVO_FULL ? 10_000 : 2500
  const found = { answered: 0, streamed: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(randomRequest, async ({ path, body }) => {
      const status = await check(path, JSON.stringify(body))
      found[status !== 200 ? 'refused' : body.stream === true ? 'streamed' : 'answered']++
    }),
    { numRuns: runs },
  )
  // Neither all of them are wrong, nor all of them right.
  expect(Math.min(found.answered, found.streamed, found.refused)).toBeGreaterThan(runs / 20)
}, 120_000)

test('bodies whose bytes were damaged', async () => {
  const kind = fc.constantFrom('cut' as const, 'add' as const, 'change' as const)
  const byte = fc.integer({ min: 0, max: 255 })
  await fc.assert(
    fc.asyncProperty(
      randomRequest,
      fc.nat(),
      byte,
      kind,
      async ({ path, body }, at, value, how) => {
        await check(path, damaged(JSON.stringify(body), at, value, how))
      },
    ),
    { numRuns: 1000 },
  )
})
