// npm run bench:prefix-cache -- [MODEL]      32 requests that share a prefix of 1,000 tokens, each with 16
// more and 16 to draw, after one request filled the cache, with and without enablePrefixCaching; and the
// time to the first token of a cached prompt. A table, and build-bench/measured/prefix-cache.json.
import { run } from './measured/run.mjs'

await run('prefix-cache')
