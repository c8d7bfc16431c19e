import { loadEngineParts } from '../../lib/engine/load.js'
import { LLMEngine } from '../../lib/engine/llm-engine.js'
import type { EngineOptions } from '../../lib/engine/config.js'
import type { BlockManager } from '../../lib/scheduling/block-manager.js'
import type { ScheduledStep } from '../../lib/scheduling/scheduled-step.js'
import { Scheduler, type SchedulerOptions } from '../../lib/scheduling/scheduler.js'

export interface ObservedOptions extends EngineOptions {
  readonly model?: string
  /** Makes the block manager in place of the paged one. */
  readonly makeBlocks?: (options: SchedulerOptions) => BlockManager
  /** Called with each step before it is computed. */
  readonly onStep: (step: ScheduledStep, scheduler: Scheduler) => void
}

/** A real engine, some of whose parts are exchanged or looked at. */
export async function loadObserved(options: ObservedOptions): Promise<LLMEngine> {
  const { model = 'demo', makeBlocks, onStep, ...engineOptions } = options
  const parts = await loadEngineParts(model, { log: false, ...engineOptions })
  const scheduler = makeBlocks === undefined ? parts.scheduler : reschedule(parts, makeBlocks)
  const submit = parts.executor.submit.bind(parts.executor)
  parts.executor.submit = (step) => {
    onStep(step, scheduler)
    submit(step)
  }
  return new LLMEngine({ ...parts, scheduler })
}

type Parts = Awaited<ReturnType<typeof loadEngineParts>>

/** The engine's scheduler over another block manager. */
function reschedule(
  { config, scheduler }: Parts,
  makeBlocks: (o: SchedulerOptions) => BlockManager,
) {
  const { blockSize, maxNumSeqs, maxNumBatchedTokens, enablePrefixCaching } = config
  const { numBlocks } = scheduler.blocks.pool
  const options = {
    ...{ blockSize, numBlocks, maxNumSeqs, maxNumBatchedTokens, enablePrefixCaching },
    maxSamples: maxNumSeqs,
  }
  return new Scheduler({ ...options, blocks: makeBlocks(options) })
}
