import type { EngineConfig } from '../engine/config.js'
import type { LLMEngine } from '../engine/llm-engine.js'
import { Loading } from '../engine/loading.js'
import type { LoraRequest } from '../engine/lora-request.js'
import { checkpointOf, isCheckpointComplete, type Checkpoint } from '../weights/checkpoint.js'
import { locateModel, type ModelFolder } from '../weights/model-folder.js'
import { LoadBar } from './load-bar.js'
import { loadWithLoras } from './loras.js'
import { engineOptions } from './options.js'
import { note } from './terminal.js'

/** Loads the model of a command's flags and its adapters, lets the command use it, and closes it however that ends. */
export async function withEngine<T>(
  flags: Readonly<Record<string, unknown>> & { readonly model: string },
  use: (engine: LLMEngine) => Promise<T>,
  loras: readonly LoraRequest[] = [],
): Promise<T> {
  const options = engineOptions(flags)
  const engine = await LoadBar.during(({ onProgress }) =>
    loadWithLoras(flags.model, { ...options, log: note, onProgress }, loras),
  )
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

/** Finds a model whose config is enough, and downloads what says it if it must, with a progress bar. */
export async function fetchConfig(
  name: string,
  { revision, localFilesOnly }: EngineConfig,
): Promise<ModelFolder> {
  return LoadBar.during(({ onProgress }) =>
    locateModel(name, {
      revision,
      weights: false,
      ...(localFilesOnly && { download: false }),
      ...new Loading({}, onProgress).whileLocating,
    }),
  )
}
