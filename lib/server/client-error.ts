import type { Duplex } from 'node:stream'
import { HttpError, errorReply } from './http-error.js'

/** What `node:http` calls a fault in the bytes of a request, and what its sender is told. */
const FAULTS: Readonly<Record<string, readonly [status: number, reason: string, message: string]>> =
  {
    ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'the request did not come whole in time'],
    HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'the headers are too large'],
    HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'Payload Too Large', 'chunk extensions are too large'],
  }
const MALFORMED = [400, 'Bad Request', 'expected a request of HTTP/1.1'] as const

/**
 * Answers what `node:http` cannot read, or not in time, by an error of OpenAI's shape, and closes the
 * connection.
 *
 * @example
 * createServer(toNodeListener(handler)).on('clientError', answerClientError)
 */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy()
    return
  }
  const [status, reason, message] = FAULTS[error.code ?? ''] ?? MALFORMED
  const { body } = errorReply(new HttpError(status, message, { code: 'invalid_http' }))
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body as string)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body as string}`, () => socket.destroy())
}

/** Whether an answer has begun on this connection, which `node:http` keeps in this field. */
function isAnswering(socket: Duplex): boolean {
  const { _httpMessage: message } = socket as { _httpMessage?: { headersSent: boolean } | null }
  return message?.headersSent === true
}
