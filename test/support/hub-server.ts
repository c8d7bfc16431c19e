import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished, vi } from 'vitest'
import { temporaryFolder } from './files.js'

export const COMMIT = '89abcdef0123456789abcdef0123456789abcdef'

export interface HubFile {
  readonly content: Buffer
  /** Kept as a large file, named by SHA-256 instead of git's SHA-1. */
  readonly large?: boolean
}

/** A server that speaks the hub's routes for one model. */
export interface HubServer {
  readonly url: string
  /** One line a request: path and, where there is one, its range. */
  readonly requests: string[]
  /** Where set, a request without this token is refused. */
  token?: string
  /** Where set, a content answer breaks off after so many bytes. */
  breakAfter?: number
  /** Where set, a content answer stops after so many bytes, but does not end. */
  stallAfter?: number
  /** Called when it does. */
  onStall?: () => void
  /** Content answers that the client gave up. */
  givenUp: number
}

/** The digest that names a file's content in the cache. */
export function digestOf({ content, large }: HubFile): string {
  if (large) return createHash('sha256').update(content).digest('hex')
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
}

/** Has the test look for models in a cache of its own, and where it says by HF_ENDPOINT; gives the folder. */
export function emptyHubCache(): string {
  const cache = temporaryFolder()
  vi.stubEnv('HF_HUB_CACHE', cache)
  vi.stubEnv('HF_HUB_OFFLINE', '0')
  vi.stubEnv('HF_TOKEN', undefined)
  onTestFinished(() => void vi.unstubAllEnvs())
  return cache
}

/** Serves `id` with one branch, main, until the test has ended. */
export async function serveHub(
  id: string,
  files: Readonly<Record<string, HubFile>>,
): Promise<HubServer> {
  const requests: string[] = []
  const contents = `/${id}/resolve/${COMMIT}/`
  const server = createServer((request, response) => {
    const { pathname: path, searchParams } = new URL(request.url!, 'http://hub')
    requests.push([path, request.headers.range].filter(Boolean).join(' '))
    if (hub.token && request.headers.authorization !== `Bearer ${hub.token}`)
      sendJson(response, 401, { error: 'Access is restricted' })
    else if (/^\/api\/models\/org\/tiny\/revision\/(main|89abcdef)/.test(path))
      sendJson(response, 200, { id, sha: COMMIT })
    else if (path === `/api/models/${id}/tree/${COMMIT}`)
      sendJson(response, 200, tree(files, searchParams.get('recursive') === 'true'))
    else if (path.startsWith(contents))
      sendFile(request, response, files[path.slice(contents.length)]!, hub)
    else sendJson(response, 404, { error: 'Repository not found' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const hub: HubServer = { url: `http://127.0.0.1:${port}`, requests, givenUp: 0 }
  return hub
}

function tree(files: Readonly<Record<string, HubFile>>, recursive: boolean): object[] {
  const listed = Object.entries(files).filter(([path]) => recursive || !path.includes('/'))
  const entries = listed.map(([path, file]) => {
    const oid = digestOf({ ...file, large: false })
    const size = file.content.length
    const lfs = file.large ? { oid: digestOf(file), size, pointerSize: 130 } : undefined
    return { type: 'file', path, size, oid, lfs }
  })
  return [...entries, { type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }]
}

function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: HubFile,
  hub: HubServer,
): void {
  const { breakAfter = Infinity, stallAfter = Infinity } = hub
  const { content } = file
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const start = Number(first ?? 0)
  const end = Math.min(content.length, Number(last ?? Infinity) + 1)
  response.writeHead(first ? 206 : 200, {
    etag: `"${digestOf(file)}"`,
    'content-length': end - start,
    ...(first && { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }),
  })
  if (end - start > stallAfter) {
    response.on('close', () => hub.givenUp++)
    response.write(content.subarray(start, start + stallAfter), () => hub.onStall?.())
  } else if (end - start <= breakAfter) response.end(content.subarray(start, end))
  else response.write(content.subarray(start, start + breakAfter), () => response.destroy())
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}
