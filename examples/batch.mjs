// An OpenAI batch file answered line by line; run again, it goes on where it was interrupted.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LLMEngine, runBatch } from 'octavo'

const folder = await mkdtemp(join(tmpdir(), 'octavo-'))
const input = join(folder, 'requests.jsonl')
const output = join(folder, 'results.jsonl')

const countries = ['France', 'Spain', 'Italy', 'Japan', 'Egypt']
const requests = countries.map((country) => ({
  custom_id: country,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    messages: [{ role: 'user', content: `What is the capital of ${country}?` }],
    temperature: 0,
  },
}))
await writeFile(input, requests.map((request) => JSON.stringify(request) + '\n').join(''))

const engine = await LLMEngine.load('demo')
const { finished, total } = await runBatch(engine, input, output)
await engine.close()

for (const line of (await readFile(output, 'utf8')).trim().split('\n')) {
  const { custom_id: id, response } = JSON.parse(line)
  console.log(`${id}: ${response.body.choices[0].message.content}`)
}
console.log(`${finished} of ${total} requests answered`)
await rm(folder, { recursive: true })
