// An OpenAI batch file answered line by line; run again, it goes on where it was interrupted.
import { LLMEngine, runBatch } from 'octavo'

const [input = `${import.meta.dirname}/batch.jsonl`, output = 'results.jsonl'] =
  process.argv.slice(2)
const engine = await LLMEngine.load('demo')
const { finished, total } = await runBatch(engine, input, output)
console.log(`${finished} of ${total} requests answered in ${output}`)
await engine.close()
