// npm run bench:settings      what the defaults of watermark and mlfq's quantum come from: the real scheduler on the
// simulated clock of the paper's figures.
import { run } from './measured/run.mjs'

await run('settings')
