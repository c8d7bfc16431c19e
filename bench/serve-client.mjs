// The client of bench/serve.mjs, in a process of its own: streams prompts all at once, again and again.
import { Agent, request } from 'node:http'
import { text } from 'node:stream/consumers'

const agent = new Agent({ keepAlive: true })

process.on('message', async ({ port, prompts, maxTokens }) => {
  const streams = await Promise.all(
    prompts.map((prompt) =>
      complete(port, { prompt, max_tokens: maxTokens, ignore_eos: true, seed: 1, stream: true }),
    ),
  )
  const chunks = streams.map((stream) => {
    const events = stream.split('\n\n').filter(Boolean).slice(0, -1)
    return events.map((event) => JSON.parse(event.slice('data: '.length)))
  })
  process.send({
    events: chunks.flat().length,
    texts: chunks.map((all) => all.map(({ choices }) => choices[0].text).join('')),
  })
})

function complete(port, body) {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', path: '/v1/completions', method: 'POST', agent }
    const call = request(options, (response) => resolve(text(response)))
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
}
