import { Readable } from 'node:stream'
import { Busboy, type BusboyHeaders } from '@fastify/busboy'
import { withCause } from '../../errors.js'
import type { Incoming } from '../exchange.js'
import { HttpError } from '../http-error.js'
import { unread } from '../read-body.js'
import type { FileStore } from './file-store.js'

/**
 * Stores the file of a form as it comes; gives its id. Throws HttpError 400 for a form without a file
 * or of another purpose, 413 for a file above `limit` bytes.
 */
export async function storeUpload(
  incoming: Incoming,
  store: FileStore,
  limit: number,
): Promise<string> {
  const type = incoming.header('content-type')
  const body = unread(incoming)
  if (body === null || type?.startsWith('multipart/form-data') !== true) {
    throw new HttpError(400, 'body: expected multipart/form-data with a file', { param: 'file' })
  }
  const form: Form = { stored: null, purpose: null }
  try {
    await readForm(form, body, type, store, limit)
    return checkForm(form)
  } catch (error) {
    if (form.stored !== null) await store.delete(form.stored)
    throw error
  }
}

function checkForm({ stored, purpose }: Form): string {
  if (stored === null) throw new HttpError(400, 'file: expected one, found none', { param: 'file' })
  if (purpose === 'batch') return stored
  throw new HttpError(400, `purpose: expected "batch", found ${JSON.stringify(purpose)}`, {
    param: 'purpose',
  })
}

interface Form {
  stored: string | null
  purpose: string | null
}

/** Fills a form in; what it began to store is stored, or gone, before this ends. */
function readForm(
  form: Form,
  body: AsyncIterable<Uint8Array>,
  type: string,
  store: FileStore,
  limit: number,
): Promise<void> {
  const headers: BusboyHeaders = { 'content-type': type }
  const parser = new Busboy({ headers, limits: { files: 1, fileSize: limit, fields: 16 } })
  const source = Readable.from(body)
  let file: Readable | null = null
  let storing: Promise<void> = Promise.resolve()
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      source.destroy()
      parser.destroy()
      file?.destroy()
      void storing.then(() => reject(error instanceof HttpError ? error : incomplete(error)))
    }
    parser.on('field', (name, value) => {
      if (name === 'purpose') form.purpose = value
      else fail(new HttpError(400, `${name}: /v1/files has no such field`, { param: name }))
    })
    parser.on('file', (_name, content, filename) => {
      file = content
      const cut = () => content.destroy(tooLarge(limit))
      content.once('limit', cut)
      storing = store.add(content, filename).then((id) => void (form.stored = id), fail)
    })
    parser.once('finish', () => void storing.then(resolve))
    parser.once('error', fail)
    source.once('error', fail).pipe(parser)
  })
}

function incomplete(cause: unknown): HttpError {
  return new HttpError(400, `body: expected a whole form: ${withCause(cause)}`, { cause })
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `file: expected at most ${limit} bytes (maxFileBytes), found more`, {
    param: 'file',
  })
}
