import { Counter, Gauge } from 'prom-client'
import type { LLMEngine } from '../../engine/llm-engine.js'
import type { EngineStats } from '../../engine/stats.js'
import type { Series } from './series.js'

type Read = (stats: EngineStats) => number

/** A sum by a further label: what each of its values has. */
interface Split {
  readonly label: string
  readonly parts: Readonly<Record<string, Read>>
}

type Shown = Readonly<Record<string, readonly [help: string, read: Read | Split]>>

const none: Read = () => 0

/** Present values; the `gpu_` names are older ones, which routers still read. */
const GAUGES: Shown = {
  num_requests_running: ['Requests that run.', ({ running }) => running],
  num_requests_waiting: ['Requests that wait.', ({ waiting, swapped }) => waiting + swapped],
  // A request is queued once its grammar is compiled: nothing but room keeps it waiting.
  num_requests_waiting_by_reason: [
    'Requests that wait, by the reason.',
    {
      label: 'reason',
      parts: { capacity: ({ waiting, swapped }) => waiting + swapped, deferred: none },
    },
  ],
  kv_cache_usage_perc: ['Share of the blocks in use, from 0 to 1.', ({ cacheUsage }) => cacheUsage],
  gpu_cache_usage_perc: ['As kv_cache_usage_perc.', ({ cacheUsage }) => cacheUsage],
  gpu_prefix_cache_hit_rate: [
    'Share of the tokens looked up that were found, from 0 to 1.',
    ({ prefixCacheHits, prefixCacheQueries }) => prefixCacheHits / Math.max(1, prefixCacheQueries),
  ],
}

/** Counts that the engine keeps itself. */
const COUNTERS: Shown = {
  num_preemptions: ['Preemptions.', ({ preemptions }) => preemptions],
  prompt_tokens: ['Prompt tokens computed.', ({ promptTokens }) => promptTokens],
  generation_tokens: ['Tokens drawn.', ({ generatedTokens }) => generatedTokens],
  prompt_tokens_cached: ['Prompt tokens from the cache.', ({ prefixCacheHits }) => prefixCacheHits],
  prompt_tokens_by_source: [
    'Prompt tokens, by where their keys and values come from.',
    {
      label: 'source',
      parts: {
        local_compute: ({ promptTokens }) => promptTokens,
        local_cache_hit: ({ prefixCacheHits }) => prefixCacheHits,
        external_kv_transfer: none,
      },
    },
  ],
  spec_decode_num_drafts: ['Steps of a sequence that verified drafts.', ({ drafts }) => drafts],
  spec_decode_num_draft_tokens: ['Tokens drafted.', ({ draftTokens }) => draftTokens],
  spec_decode_num_accepted_tokens: [
    'Tokens drawn thanks to drafts.',
    ({ acceptedTokens }) => acceptedTokens,
  ],
  prefix_cache_queries: ['Tokens looked up.', ({ prefixCacheQueries }) => prefixCacheQueries],
  prefix_cache_hits: ['Tokens found.', ({ prefixCacheHits }) => prefixCacheHits],
  gpu_prefix_cache_queries: [
    'As prefix_cache_queries.',
    ({ prefixCacheQueries }) => prefixCacheQueries,
  ],
  gpu_prefix_cache_hits: ['As prefix_cache_hits.', ({ prefixCacheHits }) => prefixCacheHits],
}

/** Shows what an engine keeps count of, as it is when it is asked for. */
export function showEngine(engine: LLMEngine, { labels, registers }: Series): void {
  for (const [name, [help, read]] of Object.entries(GAUGES)) {
    const parts = partsOf(read, labels)
    const gauge: Gauge = new Gauge({
      ...{ name: `vllm:${name}`, help, labelNames: Object.keys(parts[0]!.labels), registers },
      collect: () => {
        for (const { labels, read } of parts) gauge.set(labels, read(engine.stats()))
      },
    })
  }
  for (const [name, [help, read]] of Object.entries(COUNTERS)) {
    const parts = partsOf(read, labels)
    const counter: Counter = new Counter({
      ...{ name: `vllm:${name}_total`, help, labelNames: Object.keys(parts[0]!.labels), registers },
      collect: () => {
        counter.reset()
        for (const { labels, read } of parts) counter.inc(labels, read(engine.stats()))
      },
    })
  }
  showCacheConfig(engine, { labels, registers })
  showAdapters(engine, { labels, registers })
}

function partsOf(read: Read | Split, labels: Series['labels']) {
  if (typeof read === 'function') return [{ labels, read }]
  return Object.entries(read.parts).map(([value, part]) => ({
    labels: { ...labels, [read.label]: value },
    read: part,
  }))
}

/** The block pool, as labels: routers compute from them how full it is. */
function showCacheConfig(engine: LLMEngine, { labels, registers }: Series): void {
  const { blockSize, enablePrefixCaching, kvCacheDtype, swapSpace } = engine.config
  const values = {
    engine: labels.engine,
    block_size: String(blockSize),
    num_gpu_blocks: String(engine.stats().totalBlocks),
    num_cpu_blocks: String(engine.stats().totalHostBlocks),
    cache_dtype: kvCacheDtype ?? 'auto',
    enable_prefix_caching: String(enablePrefixCaching),
    swap_space: String(swapSpace),
  }
  new Gauge({
    name: 'vllm:cache_config_info',
    help: 'The block pool.',
    labelNames: Object.keys(values),
    registers,
  }).set(values, 1)
}

/** The adapters of requests that run and that wait, as labels of the time: routers send requests to where theirs is. */
function showAdapters(engine: LLMEngine, { registers }: Series): void {
  const { lora } = engine.config
  if (lora === null) return
  const gauge: Gauge = new Gauge({
    name: 'vllm:lora_requests_info',
    help: 'Adapters of requests that run and that wait, and the time.',
    labelNames: ['max_lora', 'waiting_lora_adapters', 'running_lora_adapters'],
    registers,
    collect: () => {
      const { runningAdapters, waitingAdapters } = engine.stats()
      const labels = {
        max_lora: String(lora.maxLoras),
        waiting_lora_adapters: waitingAdapters.join(),
        running_lora_adapters: runningAdapters.join(),
      }
      gauge.reset()
      gauge.set(labels, Date.now() / 1000)
    },
  })
}
