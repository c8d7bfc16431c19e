import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { checkOptions, wrongType, type RawOptions } from '../check.js'
import type { HandlerOptions } from '../server/options.js'
import { UsageError } from './failure.js'
import { camelCase, camelCaseNames, flagValues, type FlagTable } from './flags.js'
import { SERVING_FLAGS } from './loras.js'
import { ENGINE_FLAGS } from './options.js'

/** What the command adds to the handler's options. */
export interface ServeOptions extends Omit<
  HandlerOptions,
  'onRequest' | 'onError' | 'servedModelNames' | 'apiKeys' | 'allowedOrigins'
> {
  model?: string
  host?: string
  port?: number
  servedModelName?: readonly string[]
  loraModules?: unknown
  apiKey?: readonly string[]
  apiKeyFile?: string
  allowedOrigin?: readonly string[]
  requestTimeout?: number
  shutdownTimeout?: number
  logLevel?: string
  logRequests?: boolean
}

/** The server's options as flags; a configuration file sets the same names. */
export const SERVE_FLAGS: FlagTable<Exclude<keyof ServeOptions, 'model'>> = {
  host: { kind: 'text', value: 'address', help: 'to listen at (default: 127.0.0.1)' },
  port: { kind: 'number', help: 'to listen at; 0: any free one (default: 8000)' },
  ...SERVING_FLAGS,
  allowRuntimeLoraUpdating: { kind: 'on', help: 'let clients load and unload adapters' },
  apiKey: { kind: 'texts', value: 'key', help: 'requests must bring one of these; repeatable' },
  apiKeyFile: { kind: 'text', value: 'file', help: 'the same, one a line' },
  allowedOrigin: { kind: 'texts', value: 'origin', help: 'for browsers; * for all; repeatable' },
  basePath: { kind: 'text', value: 'path', help: 'what every path begins with' },
  maxBodyBytes: { kind: 'number', value: 'bytes', help: 'of a request (default: 16 MiB)' },
  maxQueueLength: { kind: 'number', value: 'count', help: 'requests that wait (default: 1024)' },
  maxN: { kind: 'number', value: 'count', help: 'outputs of a request (default: 128)' },
  maxStoredResponses: { kind: 'number', value: 'count', help: 'responses kept (default: 1000)' },
  maxPrompts: { kind: 'number', value: 'count', help: 'prompts of a request (default: 2048)' },
  filesFolder: { kind: 'text', value: 'folder', help: 'turns the batch API on, with its files' },
  maxFileBytes: { kind: 'number', value: 'bytes', help: 'of a file (default: 200 MB)' },
  writeTimeout: { kind: 'number', value: 'seconds', help: 'to read what was sent (default: 60)' },
  requestTimeout: { kind: 'number', value: 'seconds', help: 'to send a request (default: 60)' },
  shutdownTimeout: {
    kind: 'number',
    value: 'seconds',
    help: 'to finish requests on SIGTERM (default: 30)',
  },
  logLevel: { kind: 'text', value: 'level', help: 'trace to fatal, or silent (default: info)' },
  traces: { kind: 'on', help: 'trace requests by OpenTelemetry' },
  dashboard: { kind: 'off', help: 'show nothing at /dashboard' },
  logRequests: { kind: 'off', help: 'log no requests' },
}

const CONFIG_NAMES: ReadonlySet<string> = new Set([
  'model',
  ...Object.keys(SERVE_FLAGS),
  ...Object.keys(ENGINE_FLAGS),
])

/** What the flags say, over what the configuration file says. Throws for a name it does not know. */
export async function readServeOptions(
  flags: RawOptions,
  file: string | undefined,
): Promise<RawOptions & ServeOptions> {
  const written = file === undefined ? {} : await readConfig(file)
  const given = { ...flagValues(SERVE_FLAGS, flags), ...flagValues(ENGINE_FLAGS, flags) }
  return { ...written, ...given } as RawOptions & ServeOptions
}

/** A configuration file of YAML, of which JSON is a part; names may be written as flags are. */
async function readConfig(file: string): Promise<RawOptions> {
  let content: unknown
  try {
    content = parse(await readFile(file, 'utf8')) ?? {}
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`, { cause: error })
  }
  if (typeof content !== 'object' || content === null) throw wrongType(file, 'a mapping', content)
  const flags: Partial<FlagTable<string>> = ENGINE_FLAGS
  const renamed = Object.fromEntries(
    Object.entries(content).map(([written, value]: [string, unknown]) => {
      const name = camelCase(written)
      return [name, flags[name]?.kind === 'options' ? camelCaseNames(value) : value]
    }),
  )
  try {
    return checkOptions(renamed, 'option', CONFIG_NAMES)
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`, { cause: error })
  }
}
