/** The HTTP server's public names; no code. */
export { answerClientError } from './client-error.js'
export { createHandler } from './handler.js'
export type { Handler } from './handler.js'
export { toNodeListener } from './node.js'
export type { NodeListener } from './node.js'
export type { HandlerOptions, RequestLogEntry } from './options.js'
export { traceEngine } from './tracing.js'
