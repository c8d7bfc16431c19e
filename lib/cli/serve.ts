import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Command } from 'commander'
import { pino, type Logger } from 'pino'
import { checkArray, checkBoolean, checkChoice, checkInteger, checkText } from '../check.js'
import { type LoadOptions, resolveEngineOptions } from '../engine/config.js'
import { LLMEngine } from '../engine/llm-engine.js'
import type { LoraRequest } from '../engine/lora-request.js'
import { answerClientError } from '../server/client-error.js'
import { createHandler } from '../server/handler.js'
import { toNodeListener } from '../server/node.js'
import { basePathOf, resolveHandlerOptions, type HandlerOptions } from '../server/options.js'
import { version } from '../version.js'
import { UsageError } from './failure.js'
import { addFlags } from './flags.js'
import { LoadBar } from './load-bar.js'
import { loadWithLoras, readLoraModules, withLoras } from './loras.js'
import { addEngineFlags, engineOptions, MODEL_HELP } from './options.js'
import { SERVE_FLAGS, readServeOptions, type ServeOptions } from './serve-options.js'
import { stopGracefully } from './serve-stop.js'
import { bytes, count, note } from './terminal.js'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
/** What is asked every few seconds by whoever watches over a server, with the base path or without. */
const PROBED = ['/health', '/ping', '/metrics']
/** Milliseconds between looks for requests that are out of time. */
const TIMEOUT_CHECKS = 1000

interface Flags extends Readonly<Record<string, unknown>> {
  readonly config?: string
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary("answer OpenAI's API over HTTP")
    .description(
      "Serves a model by OpenAI's API, with Prometheus metrics at /metrics and its state at /health. " +
        'SIGTERM lets requests finish, takes no more, and ends with 0.',
    )
    .argument('[model]', MODEL_HELP)
    .option('--config <file>', 'options from a file of YAML or JSON; flags win')
  addFlags(command, 'Server:', SERVE_FLAGS)
  addEngineFlags(command)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo serve
  $ octavo serve HuggingFaceTB/SmolLM2-135M-Instruct --port 8080 --max-num-seqs 64
  $ octavo serve ./models/smollm2 --host 0.0.0.0 --api-key-file keys.txt
  $ octavo serve ./models/smollm2 --lora-modules sql=./sql-adapter chat=org/name
  $ octavo serve --config octavo.yaml`,
    )
    .action(serve)
}

async function serve(named: string | undefined, flags: Flags): Promise<void> {
  const options = await readServeOptions(flags, flags.config)
  const model = named ?? options.model ?? 'demo'
  const log = pino({ level: checkChoice('logLevel', options.logLevel ?? 'info', LOG_LEVELS) })
  const settings = engineOptions(options)
  // All is checked before anything is loaded.
  const handlerOptions = await toHandlerOptions(options, log)
  resolveHandlerOptions(handlerOptions)
  const names = handlerOptions.servedModelNames
  const loras = readLoraModules(options.loraModules, { model, names })
  resolveEngineOptions(withLoras(settings, loras))
  const network = networkOptions(options)
  const requestTimeout = network.requestTimeout * 1000
  const server = createServer({ requestTimeout, connectionsCheckingInterval: TIMEOUT_CHECKS })
  server.on('clientError', answerClientError)
  // First, so that a port in use is told at once. While the model is loaded, requests are answered that it is.
  const address = await listen(server, network)
  const callOff = new AbortController()
  const { signal } = callOff
  const loading = load(model, { ...settings, log: (line) => log.info(line), signal }, loras)
  const handler = createHandler(loading, handlerOptions)
  server.on('request', toNodeListener(handler))
  const giveUp = () => loading.then((engine) => engine.close()).catch(() => undefined)
  try {
    const stopping = stopGracefully(server, handler, { log, giveUp, ...network })
    const engine = await Promise.race([loading, stopping])
    if (!(engine instanceof LLMEngine)) {
      log.info('stopped before the model was loaded')
      callOff.abort()
      return
    }
    announce(engine, address, log)
    await stopping
  } finally {
    await giveUp()
    server.close()
  }
}

/** With a bar on a terminal; else the log tells of a download. */
async function load(
  model: string,
  options: LoadOptions,
  loras: readonly LoraRequest[],
): Promise<LLMEngine> {
  if (!process.stderr.isTTY) return loadWithLoras(model, options, loras)
  return LoadBar.during(({ onProgress }) => loadWithLoras(model, { ...options, onProgress }, loras))
}

interface NetworkOptions {
  readonly host: string
  readonly port: number
  /** Seconds that a client may take to send a request. */
  readonly requestTimeout: number
  /** Seconds that requests may take to finish. */
  readonly shutdownTimeout: number
}

function networkOptions(options: ServeOptions): NetworkOptions {
  const { host = '127.0.0.1', port = 8000, requestTimeout = 60, shutdownTimeout = 30 } = options
  return {
    host: checkText('host', host),
    port: checkInteger('port', port, { min: 0, max: 65535 }),
    requestTimeout: checkInteger('requestTimeout', requestTimeout, { min: 0 }),
    shutdownTimeout: checkInteger('shutdownTimeout', shutdownTimeout, { min: 0 }),
  }
}

async function listen(server: Server, { host, port }: NetworkOptions): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const { port: bound } = server.address() as AddressInfo
  return `http://${host.includes(':') ? `[${host}]` : host}:${bound}`
}

/** What somebody who starts a server wants to know, in one line. */
function announce(engine: LLMEngine, address: string, log: Logger): void {
  const { totalBlocks } = engine.stats()
  const { blockSize, maxNumSeqs } = engine.config
  const { names: adapters } = engine.loras
  const parts = [
    `${[engine.model, ...adapters].join(', ')} on ${engine.device}`,
    `cache ${count(totalBlocks, 'block')} of ${blockSize} tokens`,
    `${engine.maxModelLen} tokens a sequence, ${maxNumSeqs} at once`,
    `memory ${bytes(process.memoryUsage().rss)}`,
  ]
  note(`Octavo ${version()} serves ${parts.join(' · ')} · ${address}`)
  log.info(
    {
      ...{ version: version(), model: engine.model, device: engine.device, address },
      ...{ blocks: totalBlocks, blockSize, maxModelLen: engine.maxModelLen, maxNumSeqs },
      ...(adapters.length > 0 && { adapters }),
    },
    'ready',
  )
}

async function toHandlerOptions(options: ServeOptions, log: Logger): Promise<HandlerOptions> {
  const { servedModelName, apiKey, apiKeyFile, allowedOrigin, basePath, filesFolder } = options
  const { maxBodyBytes, maxQueueLength, maxN, maxPrompts, maxFileBytes, writeTimeout } = options
  const { maxStoredResponses, allowRuntimeLoraUpdating } = options
  const { dashboard, traces, logRequests } = options
  const keys = [
    ...checkArray('apiKey', apiKey ?? [], checkText),
    ...(apiKeyFile === undefined ? [] : await readKeys(checkText('apiKeyFile', apiKeyFile))),
  ]
  const base = basePathOf(basePath)
  const probed = new Set(PROBED.flatMap((path) => [path, base + path]))
  const onRequest: HandlerOptions['onRequest'] = (entry) =>
    probed.has(entry.path) ? log.debug(entry, 'request') : log.info(entry, 'request')
  const given = {
    ...{ servedModelNames: servedModelName, allowedOrigins: allowedOrigin, basePath, filesFolder },
    ...{ maxBodyBytes, maxQueueLength, maxN, maxPrompts, maxFileBytes, writeTimeout, dashboard },
    ...{ maxStoredResponses, allowRuntimeLoraUpdating, traces },
    ...(checkBoolean('logRequests', logRequests ?? true) && { onRequest }),
  }
  return {
    ...(Object.fromEntries(
      Object.entries(given).filter(([, value]) => value !== undefined),
    ) as HandlerOptions),
    apiKeys: keys,
    onError: (error, requestId) => log.error({ err: error, requestId }, 'request failed'),
  }
}

/** Throws for a file without keys, with which the server would be open to everybody. */
async function readKeys(file: string): Promise<readonly string[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.trim())
  const keys = lines.filter((line) => line !== '' && !line.startsWith('#'))
  if (keys.length === 0) throw new UsageError(`${file}: expected an API key a line, found none`)
  return keys
}
