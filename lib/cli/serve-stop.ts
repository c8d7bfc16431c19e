import type { Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Handler } from '../server/handler.js'

interface StopOptions {
  readonly log: Logger
  /** Seconds that requests may take to finish. */
  readonly shutdownTimeout: number
}

/** Milliseconds between looks for connections that became idle. */
const LOOK = 50

/**
 * Resolves when the process was asked to end, and all requests that were taken are answered or out of
 * time. New ones are refused meanwhile; asked a second time, the process ends at once.
 */
export async function stopGracefully(
  server: Server,
  handler: Handler,
  { log, shutdownTimeout }: StopOptions,
): Promise<void> {
  const signal = await nextSignal()
  log.info({ signal, inside: handler.context.gate.inside }, 'draining')
  void nextSignal().then(() => process.exit(1))
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  const idle = setInterval(() => server.closeIdleConnections(), LOOK)
  const timeout = new AbortController()
  const late = sleep(shutdownTimeout * 1000, 'late', { signal: timeout.signal }).catch(() => null)
  const end = await Promise.race([handler.drain().then(() => closed), late])
  timeout.abort()
  clearInterval(idle)
  if (end === 'late') log.warn({ inside: handler.context.gate.inside }, 'out of time')
  server.closeAllConnections()
  log.info('stopped')
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
