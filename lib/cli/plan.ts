import type { Command } from 'commander'
import { resolveEngineOptions } from '../engine/config.js'
import { planTypes } from '../engine/plan-types.js'
import { stepLimits } from '../engine/memory.js'
import { buildPlan, readModelConfig } from '../models/registry.js'
import { shardPlan } from '../plan/shard.js'
import { printPlan } from '../plan/text.js'
import { addFlags, type FlagTable } from './flags.js'
import { fetchConfig, storedCheckpoint } from './load.js'
import { addPlanFlags, engineOptions, MODEL_HELP } from './options.js'

const RANK_FLAGS: FlagTable<'ranks' | 'rank'> = {
  ranks: { kind: 'number', value: 'count', help: 'the plan of one of so many ranks' },
  rank: { kind: 'number', value: 'number', help: 'which of them (default: 0)' },
}

export function addPlan(program: Command): void {
  const command = program
    .command('plan')
    .summary('show the operations that a model is run as')
    .description(
      "Shows the operations that a model is run as, one a line. Needs the model's config.json only.",
    )
    .argument('[model]', MODEL_HELP, 'demo')
  addPlanFlags(command)
  addFlags(command, 'Tensor parallelism:', RANK_FLAGS)
  command
    .addHelpText(
      'after',
      `
Examples:
  $ octavo plan
  $ octavo plan ./models/smollm2 --kv-cache-dtype int8 --max-num-batched-tokens 512
  $ octavo plan demo --ranks 2 --rank 1`,
    )
    .action(showPlan)
}

async function showPlan(name: string, flags: Readonly<Record<string, unknown>>): Promise<void> {
  const config = resolveEngineOptions(engineOptions(flags))
  const folder = await fetchConfig(name, config)
  const model = readModelConfig(folder.config, folder.configFile)
  const checkpoint = await storedCheckpoint(folder)
  const plan = buildPlan(model, planTypes(config, { folder, model, checkpoint, device: 'cpu' }))
  const { ranks = 1, rank = 0 } = flags as { ranks?: number; rank?: number }
  process.stdout.write(printPlan(shardPlan(plan, { rank, ranks }), stepLimits(config)))
}
