import { withCause } from '../errors.js'
import type { PlannedRequest } from './workload.js'

/** How a request fared; times in milliseconds. */
export interface Measured {
  /** null: it was answered. */
  readonly error: string | null
  readonly promptTokens: number
  readonly outputTokens: number
  readonly total: number
  /** To the first token. */
  readonly firstToken: number
  /** Between arrivals of the answer's pieces; those that one read brings are one arrival. */
  readonly gaps: readonly number[]
}

export interface Target {
  /** Of the server, without /v1. */
  readonly url: string
  readonly model: string
  readonly apiKey: string | null
}

interface Chunk {
  readonly choices: readonly { readonly text: string }[]
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

/** Sends a request and reads its stream. Never rejects. */
export async function measure(target: Target, request: PlannedRequest): Promise<Measured> {
  const begin = performance.now()
  const times: number[] = []
  let usage: Chunk['usage'] = null
  let error: string | null = null
  try {
    for await (const chunks of arrivalsOf(await send(target, request))) {
      if (chunks.some(({ choices }) => choices.length > 0)) times.push(performance.now() - begin)
      usage = chunks.at(-1)?.usage ?? usage
    }
    if (usage === null) error = 'the stream ended without its usage'
  } catch (failure) {
    error = withCause(failure)
  }
  return {
    error,
    promptTokens: usage?.prompt_tokens ?? 0,
    outputTokens: usage?.completion_tokens ?? 0,
    total: performance.now() - begin,
    firstToken: times[0] ?? 0,
    gaps: times.slice(1).map((time, i) => time - times[i]!),
  }
}

async function send({ url, model, apiKey }: Target, { prompt, maxTokens }: PlannedRequest) {
  const response = await fetch(`${url.replace(/\/+$/, '')}/v1/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(apiKey !== null && { authorization: `Bearer ${apiKey}` }),
    },
    body: JSON.stringify({
      ...{ model, prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true },
      ...{ stream: true, stream_options: { include_usage: true } },
    }),
  })
  if (response.ok) return response
  throw new Error(`status ${response.status}: ${(await response.text()).slice(0, 200)}`)
}

/** The chunks of each read that brought any. */
async function* arrivalsOf(response: Response): AsyncGenerator<readonly Chunk[]> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of response.body ?? []) {
    const lines = (rest + decoder.decode(bytes as Uint8Array, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    const data = lines.filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    if (data.length > 0) yield data.map((line) => parseChunk(line.slice('data: '.length)))
  }
}

function parseChunk(json: string): Chunk {
  const chunk = JSON.parse(json) as Chunk & { readonly error?: { readonly message: string } }
  if (chunk.error) throw new Error(chunk.error.message)
  return chunk
}
