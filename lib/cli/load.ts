import { SingleBar } from 'cli-progress'
import type { EngineOptions } from '../engine/config.js'
import { LLMEngine } from '../engine/llm-engine.js'
import { locateModel, type LocateOptions } from '../weights/model-folder.js'
import { engineOptions } from './options.js'
import { bytes, note } from './terminal.js'

/** Loads the model of a command's flags, lets the command use it, and closes it however that ends. */
export async function withEngine<T>(
  flags: Readonly<Record<string, unknown>> & { readonly model: string },
  use: (engine: LLMEngine) => Promise<T>,
): Promise<T> {
  const options = engineOptions(flags)
  await fetchModel(flags.model, options)
  const engine = await LLMEngine.load(flags.model, { ...options, log: note })
  try {
    return await use(engine)
  } finally {
    await engine.close()
  }
}

/** Finds a model, and downloads it first if it must, with a progress bar. */
export async function fetchModel(
  name: string,
  { revision, localFilesOnly, loadFormat }: EngineOptions,
  weights = loadFormat !== 'dummy',
) {
  const bar = new SingleBar({
    format: '{file} {bar} {percentage} % of {size}',
    stream: process.stderr,
    clearOnComplete: true,
    barsize: 30,
  })
  const options: LocateOptions = {
    weights,
    ...(revision !== undefined && { revision }),
    ...(localFilesOnly === true && { download: false }),
    onProgress: ({ file, loadedBytes, totalBytes }) => {
      const payload = { file, size: bytes(totalBytes) }
      if (!bar.isActive) bar.start(totalBytes, loadedBytes, payload)
      else bar.update(loadedBytes, payload)
    },
  }
  try {
    return await locateModel(name, options)
  } finally {
    bar.stop()
  }
}
