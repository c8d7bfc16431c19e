// npm run bench:block-size      The paper's Figure 18 on this CPU: attention over pages beside attention over one
// contiguous piece, and what blocks of 1 to 256 tokens waste. Tables, and build-bench/measured/block-size.json.
import { run } from './measured/run.mjs'

await run('block-size')
