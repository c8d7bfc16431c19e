// npm run bench:memory -- [MODEL]      models/demo, and MODEL with shorter requests, under paging and under contiguous reservation: batch, waste, speed;
// and the blocks that parallel sampling and beam search share. Tables, and build-bench/measured/memory.json.
import { run } from './measured/run.mjs'

await run('memory')
