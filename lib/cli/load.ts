import { SingleBar } from 'cli-progress'
import { resolveEngineOptions, type EngineConfig } from '../engine/config.js'
import { LLMEngine } from '../engine/llm-engine.js'
import { checkpointOf, isCheckpointComplete, type Checkpoint } from '../weights/checkpoint.js'
import { locateModel, type ModelFolder } from '../weights/model-folder.js'
import { engineOptions } from './options.js'
import { bytes, note } from './terminal.js'

/** Loads the model of a command's flags, lets the command use it, and closes it however that ends. */
export async function withEngine<T>(
  flags: Readonly<Record<string, unknown>> & { readonly model: string },
  use: (engine: LLMEngine) => Promise<T>,
): Promise<T> {
  const options = engineOptions(flags)
  const config = resolveEngineOptions(options)
  await fetchModel(flags.model, config, { weights: config.loadFormat !== 'dummy' })
  const engine = await LLMEngine.load(flags.model, { ...options, log: note })
  try {
    return await use(engine)
  } finally {
    await engine.close()
  }
}

/** The headers of a model's tensors; null where only its small files are there. */
export async function storedCheckpoint(model: ModelFolder): Promise<Checkpoint | null> {
  const there = model.gguf !== null || (await isCheckpointComplete(model.path))
  return there ? checkpointOf(model) : null
}

/** Finds a model, and downloads it first if it must, with a progress bar. */
export async function fetchModel(
  name: string,
  { revision, localFilesOnly }: EngineConfig,
  { weights }: { readonly weights: boolean },
): Promise<ModelFolder> {
  const bar = new SingleBar({
    format: '{file} {bar} {percentage} % of {size}',
    stream: process.stderr,
    clearOnComplete: true,
    barsize: 30,
  })
  try {
    return await locateModel(name, {
      revision,
      weights,
      ...(localFilesOnly && { download: false }),
      onProgress: ({ file, loadedBytes, totalBytes }) => {
        const payload = { file, size: bytes(totalBytes) }
        if (bar.isActive) bar.update(loadedBytes, payload)
        else bar.start(totalBytes, loadedBytes, payload)
      },
    })
  } finally {
    bar.stop()
  }
}
