// The client of bench/serve.mjs, in a process of its own: streams prompts all at once, again and again.
// It reads sockets and takes answers apart only when all have ended, so that it takes little of the cores.
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'

process.on('message', async ({ port, prompts, maxTokens }) => {
  const bodies = prompts.map((prompt) => {
    return { prompt, max_tokens: maxTokens, ignore_eos: true, seed: 1, stream: true }
  })
  const replies = await Promise.all(bodies.map((body) => complete(port, JSON.stringify(body))))
  process.send('ended')
  const chunks = replies.map(chunksOf)
  process.send({
    events: chunks.flat().length,
    texts: chunks.map((all) => all.map(({ choices }) => choices[0].text).join('')),
  })
})

/** All that a server answers on a connection of its own. */
function complete(port, body) {
  const socket = connect(port, '127.0.0.1')
  const head = ['POST /v1/completions HTTP/1.1', 'host: 127.0.0.1', 'connection: close']
  socket.write([...head, `content-length: ${body.length}`, '', body].join('\r\n'))
  return buffer(socket)
}

/** The JSON of each event but the last, which says that it was the last. */
function chunksOf(reply) {
  const events = bodyOf(reply).split('\n\n')
  if (events.pop() !== '' || events.pop() !== 'data: [DONE]')
    throw new Error('a stream was cut off')
  return events.map((event) => JSON.parse(event.slice('data: '.length)))
}

/** The text of a reply whose body comes in HTTP's chunks. */
function bodyOf(reply) {
  const pieces = []
  let at = reply.indexOf('\r\n\r\n') + 4
  for (;;) {
    const begin = reply.indexOf('\r\n', at) + 2
    const size = parseInt(reply.toString('latin1', at, begin), 16)
    if (!(size > 0)) return Buffer.concat(pieces).toString()
    pieces.push(reply.subarray(begin, begin + size))
    at = begin + size + 2
  }
}
