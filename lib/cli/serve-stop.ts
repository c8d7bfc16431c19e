import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Handler } from '../server/handler.js'

interface StopOptions {
  readonly log: Logger
  /** Seconds that requests may take to finish. */
  readonly shutdownTimeout: number
  /** Fails the requests that did not. */
  readonly giveUp: () => Promise<void>
}

/** Milliseconds between looks for connections that became idle. */
const LOOK = 50
/** Milliseconds to tell clients that their requests were given up. */
const FAREWELL = 1000

/**
 * Resolves when the process was asked to end, and all requests that were taken are answered or out of
 * time, which is their answer then. New ones are refused meanwhile; asked a second time, the process
 * ends at once.
 */
export async function stopGracefully(
  server: Server,
  handler: Handler,
  { log, shutdownTimeout, giveUp }: StopOptions,
): Promise<void> {
  const { gate } = handler.context
  const connections = connectionsOf(server)
  const signal = await nextSignal()
  void nextSignal().then(() => process.exit(1))
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => closeIdle(server, connections), LOOK)
  const answered = handler.drain().then(() => closed)
  log.info({ signal, inside: gate.inside }, 'draining')
  if (!(await endsWithin(answered, shutdownTimeout * 1000))) {
    log.warn({ inside: gate.inside }, 'out of time')
    await giveUp()
    await endsWithin(answered, FAREWELL)
  }
  clearInterval(idle)
  server.closeAllConnections()
  log.info('stopped')
}

/** The connections of a server that are open, from now on. */
function connectionsOf(server: Server): ReadonlySet<Socket> {
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return open
}

/** Closes connections between two requests, and those before their first one, which Node leaves open. */
function closeIdle(server: Server, connections: ReadonlySet<Socket>): void {
  server.closeIdleConnections()
  for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
}

async function endsWithin(end: Promise<void>, milliseconds: number): Promise<boolean> {
  const timeout = new AbortController()
  const late = sleep(milliseconds, false, { signal: timeout.signal }).catch(() => false)
  const inTime = await Promise.race([end.then(() => true), late])
  timeout.abort()
  return inTime
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const onSignal = (signal: NodeJS.Signals) => {
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal)
      resolve(signal)
    }
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  })
}
