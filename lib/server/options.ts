import {
  checkArray,
  checkBoolean,
  checkInteger,
  checkOptions,
  checkText,
  wrongType,
  type RawOptions,
} from '../check.js'
import type { AnswerFacts } from './request-notes.js'

/**
 * How requests are answered.
 *
 * @example
 * createHandler(engine, { apiKeys: [process.env.API_KEY], maxQueueLength: 100 })
 */
export interface HandlerOptions {
  /** Names by which requests may ask for the model. Default: the engine's own name of it. */
  servedModelNames?: readonly string[]
  /** Keys of which requests must bring one, as `Authorization: Bearer` or `x-api-key`. Default: none is asked for. */
  apiKeys?: readonly string[]
  /** Origins that browsers may ask from; `*` for all. Default: none. */
  allowedOrigins?: readonly string[]
  /** Largest body of a request, in bytes. Default 16 MiB. */
  maxBodyBytes?: number
  /** Requests that may wait beside those that run; more are refused with 429. Default 1024. */
  maxQueueLength?: number
  /** The most outputs that a request may ask for. Default 128. */
  maxN?: number
  /** The most prompts of one request. Default 2048. */
  maxPrompts?: number
  /** Finished responses of /v1/responses that are kept in memory; 0: none. Default 1000. */
  maxStoredResponses?: number
  /** Seconds that a client may take to read what was written, before it is left. Default 60. */
  writeTimeout?: number
  /** What every path begins with, such as `/openai`. Default: nothing. */
  basePath?: string
  /** Folder of the batch API's files. Default: no batch API. */
  filesFolder?: string
  /** Largest file of the batch API, in bytes. Default 200 MB. */
  maxFileBytes?: number
  /** Whether clients may load and unload adapters, by any path that the server can read. Default false. */
  allowRuntimeLoraUpdating?: boolean
  /** Whether /dashboard shows what the engine does. Default true. */
  dashboard?: boolean
  /** Whether requests are traced by @opentelemetry/api (tracing.ts). Default false. */
  traces?: boolean
  /** Told of every request that is over. */
  onRequest?: (entry: RequestLogEntry) => void
  /** Told of failures of the server itself. */
  onError?: (error: unknown, requestId: string) => void
}

/** A request that is over, for a log. */
export interface RequestLogEntry extends AnswerFacts {
  readonly requestId: string
  readonly method: string
  readonly path: string
  readonly status: number
  /** Milliseconds from its beginning to the end of its answer. */
  readonly milliseconds: number
  /** The client left before the end. */
  readonly aborted: boolean
}

/** Checked options with every default filled in. */
export interface HandlerConfig extends Required<
  Omit<HandlerOptions, 'servedModelNames' | 'filesFolder'>
> {
  readonly servedModelNames: readonly string[] | null
  readonly filesFolder: string | null
}

const NAMES: ReadonlySet<string> = new Set<keyof HandlerOptions>([
  ...(['servedModelNames', 'apiKeys', 'allowedOrigins', 'maxBodyBytes', 'maxQueueLength'] as const),
  ...(['maxN', 'maxPrompts', 'writeTimeout', 'basePath', 'filesFolder', 'maxFileBytes'] as const),
  ...(['dashboard', 'onRequest', 'onError', 'maxStoredResponses', 'traces'] as const),
  ...(['allowRuntimeLoraUpdating'] as const),
])

/** Fills in defaults. Throws TypeError or RangeError naming the option. */
export function resolveHandlerOptions(options: HandlerOptions): HandlerConfig {
  const raw = checkOptions(options, 'handler option', NAMES)
  const texts = (name: string) => checkArray(name, raw[name] ?? [], checkText)
  return {
    servedModelNames: raw.servedModelNames === undefined ? null : texts('servedModelNames'),
    apiKeys: texts('apiKeys'),
    allowedOrigins: texts('allowedOrigins'),
    maxBodyBytes: count(raw, 'maxBodyBytes', 16 * 2 ** 20),
    maxQueueLength: count(raw, 'maxQueueLength', 1024, 0),
    maxN: count(raw, 'maxN', 128),
    maxPrompts: count(raw, 'maxPrompts', 2048),
    maxStoredResponses: count(raw, 'maxStoredResponses', 1000, 0),
    writeTimeout: count(raw, 'writeTimeout', 60),
    basePath: basePathOf(raw.basePath),
    filesFolder: raw.filesFolder === undefined ? null : checkText('filesFolder', raw.filesFolder),
    maxFileBytes: count(raw, 'maxFileBytes', 200e6),
    allowRuntimeLoraUpdating: checkBoolean(
      'allowRuntimeLoraUpdating',
      raw.allowRuntimeLoraUpdating ?? false,
    ),
    traces: checkBoolean('traces', raw.traces ?? false),
    dashboard: checkBoolean('dashboard', raw.dashboard ?? true),
    onRequest: options.onRequest ?? (() => undefined),
    onError: options.onError ?? ((error) => console.error(error)),
  }
}

/** What every path begins with, without slashes at its end. */
export function basePathOf(value: unknown = ''): string {
  if (typeof value !== 'string') throw wrongType('basePath', 'a string', value)
  return value.replace(/\/+$/, '')
}

function count(raw: RawOptions, name: string, fallback: number, min = 1): number {
  return checkInteger(name, raw[name] ?? fallback, { min })
}
