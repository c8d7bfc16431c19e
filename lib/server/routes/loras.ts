import { checkBoolean, checkText, type RawOptions } from '../../check.js'
import { EngineError } from '../../errors.js'
import { checkAdapterName, checkBaseModel } from '../../openai/served-models.js'
import { readFields } from '../../openai/request.js'
import type { Reply } from '../exchange.js'
import { HttpError } from '../http-error.js'
import { readJson } from '../read-body.js'
import type { Exchange, Route } from '../router.js'

/** Adapters (LoRA) are loaded and unloaded while the server runs: vLLM's routes. */
export const loraRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/load_lora_adapter', answer: load },
  { method: 'POST', path: '/v1/unload_lora_adapter', answer: unload },
]

async function load(exchange: Exchange): Promise<Reply> {
  const body = await readBody(exchange, [
    'lora_name',
    'lora_path',
    'load_inplace',
    'base_model_name',
  ])
  const { engine, models } = exchange.context
  const loraName = checkAdapterName('lora_name', body.lora_name, models.names)
  const loraPath = checkText('lora_path', body.lora_path)
  // The Gateway API's sidecar names the base, or no base by an empty text.
  checkBaseModel('base_model_name', body.base_model_name, [...models.names, engine.model])
  const again = checkBoolean('load_inplace', body.load_inplace ?? false)
  if (engine.loras.has(loraName) && !again)
    throw refused(
      400,
      `adapter "${loraName}" has already been loaded; load_inplace: true reads it anew`,
    )
  try {
    await engine.loras.add({ loraName, loraPath })
  } catch (error) {
    if (!(error instanceof EngineError && error.code === 'invalid_file')) throw error
    throw new HttpError(400, error.message, { code: error.code, param: 'lora_path', cause: error })
  }
  return done(`Success: LoRA adapter '${loraName}' added successfully.`)
}

async function unload(exchange: Exchange): Promise<Reply> {
  const body = await readBody(exchange, ['lora_name'])
  const loraName = checkText('lora_name', body.lora_name)
  if (!exchange.context.engine.loras.remove(loraName))
    throw refused(404, `adapter "${loraName}" cannot be found`)
  return done(`Success: LoRA adapter '${loraName}' removed successfully.`)
}

async function readBody(
  { context, incoming }: Exchange,
  fields: readonly string[],
): Promise<RawOptions> {
  const { allowRuntimeLoraUpdating, maxBodyBytes } = context.config
  if (!allowRuntimeLoraUpdating) {
    const message =
      'adapters stay as they are: to load and unload them needs allowRuntimeLoraUpdating'
    throw new HttpError(404, message, { code: 'not_found' })
  }
  return readFields(await readJson(incoming, maxBodyBytes), incoming.path, new Set(fields))
}

function refused(status: 400 | 404, message: string): HttpError {
  const code = status === 404 ? 'not_found' : 'already_loaded'
  return new HttpError(status, `lora_name: ${message}`, { code, param: 'lora_name' })
}

/** The sentences are vLLM's: there are clients that look for them. */
function done(body: string): Reply {
  return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body }
}
