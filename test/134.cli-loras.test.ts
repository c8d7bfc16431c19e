import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, expect, test } from 'vitest'
import { readLoraModules } from '../lib/cli/loras.js'
import { LLMEngine } from '../lib/index.js'
import type { BatchResult } from '../lib/openai/batch-output.js'
import { writeDemoAdapter } from './support/demo-adapters.js'
import { octavo, startOctavo } from './support/octavo.js'

const folder = mkdtempSync(join(tmpdir(), 'octavo-cli-loras-'))
afterAll(() => rmSync(folder, { recursive: true }))
const cat = writeDemoAdapter(join(folder, 'cat'), 1)
/** Of a rank above the default of maxLoraRank. */
const dog = writeDemoAdapter(join(folder, 'dog'), 2, 80)

const prompt = 'Once upon a time'
const question = 'What does a cat say?'
const params = { temperature: 0, maxTokens: 8 }
const greedy = { temperature: 0, max_tokens: 8 }
const SHORT = ['--max-model-len', '256', '--temperature', '0', '--max-tokens', '8']

const engine = await LLMEngine.load('demo', {
  ...{ log: false, maxModelLen: 256, enableLora: true, maxLoraRank: 80 },
})
afterAll(() => engine.close())
const callOf = (loraPath: string) => ({ loraRequest: { loraName: loraPath, loraPath } })
const textOf = async (adapter: string) =>
  (await engine.generate(prompt, params, callOf(adapter)))[0]!.outputs[0]!.text

test('generate --lora, whatever its rank', async () => {
  for (const adapter of [cat, dog]) {
    const { status, stdout } = octavo(['generate', prompt, '--lora', adapter, ...SHORT])
    expect([status, stdout.trimEnd()]).toEqual([0, (await textOf(adapter)).trimEnd()])
  }
})

test('generate --lora of several prompts', async () => {
  const { stdout } = octavo(['generate', prompt, 'The', '--json', '--lora', cat, ...SHORT])
  const [first] = JSON.parse(stdout) as [{ outputs: [{ text: string }] }]
  expect(first.outputs[0].text).toBe(await textOf(cat))
})

test('chat --lora', async () => {
  const reply = await engine.chat([{ role: 'user', content: question }], params, callOf(cat))
  const { stdout } = octavo(['chat', '--lora', cat, ...SHORT], { input: `${question}\n` })
  expect(stdout.trimEnd()).toBe(reply.outputs[0]!.text.trimEnd())
})

test('batch --lora-modules', async () => {
  const [input, output] = [join(folder, 'in.jsonl'), join(folder, 'out.jsonl')]
  const lineOf = (model: string) => ({
    ...{ custom_id: model, method: 'POST', url: '/v1/completions' },
    body: { model, prompt, ...greedy },
  })
  await writeFile(input, ['cat', 'dog'].map((model) => JSON.stringify(lineOf(model))).join('\n'))
  const modules = ['--lora-modules', `cat=${cat}`, `dog=${dog}`]
  expect(octavo(['batch', input, output, '--max-model-len', '256', ...modules]).status).toBe(0)
  const lines = (await readFile(output, 'utf8')).trim().split('\n')
  const results = lines.map((line) => JSON.parse(line) as BatchResult)
  const of = (id: string) => results.find(({ custom_id }) => custom_id === id)!.response!.body
  expect(of('cat')).toMatchObject({ model: 'cat', choices: [{ text: await textOf(cat) }] })
  expect(of('dog')).toMatchObject({ model: 'dog', choices: [{ text: await textOf(dog) }] })
})

/** What its log says once it serves. */
interface Ready {
  readonly msg: string
  readonly address: string
  readonly adapters: readonly string[]
}

/** Starts a server on a free port, lets a test use it, and ends it. */
async function serving(args: readonly string[], use: (ready: Ready) => Promise<void>) {
  const child = startOctavo(['serve', '--port', '0', '--max-model-len', '256', ...args])
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const ready = await new Promise<Ready>((resolve, reject) => {
    createInterface(child.stdout!).on('line', (line) => {
      const entry = JSON.parse(line) as Ready
      if (entry.msg === 'ready') resolve(entry)
    })
    void exit.then((code) => reject(new Error(`ended with ${code}`)))
  })
  try {
    await use(ready)
  } finally {
    child.kill('SIGTERM')
  }
  expect(await exit).toBe(0)
}
const post = async (url: string, path: string, body: object) => {
  const response = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
  return (await response.text()).replace(/^Success.*/, '""')
}
const complete = async (url: string, model: string) =>
  JSON.parse(await post(url, '/v1/completions', { model, prompt, ...greedy })) as object

test('serve --lora-modules, which clients may add to where the flag says so', async () => {
  const second = { name: 'dog', path: dog, base_model_name: 'demo' }
  const flags = ['--allow-runtime-lora-updating', '--served-model-name', 'small']
  const modules = [`cat=${cat}`, JSON.stringify(second)]
  await serving([...flags, '--lora-modules', ...modules], async ({ address: url, adapters }) => {
    expect(adapters).toEqual(['cat', 'dog'])
    for (const [model, adapter] of [
      ['cat', cat],
      ['dog', dog],
    ] as const) {
      const text = await textOf(adapter)
      expect(await complete(url, model)).toMatchObject({ model, choices: [{ text }] })
    }
    const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: object[] }
    expect(data).toMatchObject([
      { id: 'small', parent: null },
      { id: 'cat', root: cat, parent: 'small' },
      { id: 'dog', root: dog, parent: 'small' },
    ])
    await post(url, '/v1/load_lora_adapter', { lora_name: 'cow', lora_path: cat })
    expect(await complete(url, 'cow')).toMatchObject({ choices: [{ text: await textOf(cat) }] })
  })
})

test('serve --config', async () => {
  const config = join(folder, 'octavo.yaml')
  const lines = [`- cat=${cat}`, `- { name: dog, path: '${dog}' }`]
  writeFileSync(config, ['lora-modules:', ...lines.map((line) => `  ${line}`)].join('\n'))
  await serving(['--config', config], async ({ address: url }) => {
    expect(await complete(url, 'dog')).toMatchObject({ choices: [{ text: await textOf(dog) }] })
  })
})

test.each<[string, unknown, string]>([
  ['no list', 'a=b', 'loraModules: expected an array, found "a=b"'],
  ['no module', [1], 'loraModules[0]: expected name=path or {"name", "path", "base_model_name"}'],
  ['no pair', ['a=b', 'demo'], 'loraModules[1]: expected name=path or {"name", "path", '],
  ['no path', ['cat='], 'loraModules[0]: expected name=path or {"name", "path", '],
  ['no JSON', ['{"name": 1'], 'loraModules[0]: expected name=path or {"name", "path", '],
  ['JSON without a path', ['{"name": "a"}'], 'loraModules[0].path: expected a string'],
  ['a name of another type', [{ name: 1 }], 'loraModules[0].name: expected a string, found 1'],
  ['another field', [{ name: 'a', rank: 1 }], '"path", "base_model_name"}, found "rank"'],
  ["the model's name", ['small=b'], "loraModules[0].name: expected another name than the model's"],
  ['a comma', ['a,b=c'], 'loraModules[0].name: expected a name without commas'],
  ['a name twice', ['a=b', 'a=c'], 'loraModules: expected each name once, found a twice'],
  [
    'another model',
    [{ name: 'a', path: 'b', base_model_name: 'other' }],
    'loraModules[0].base_model_name: expected "small" or "demo", found "other"',
  ],
])('refuses %s', (_, modules, message) => {
  const read = () => readLoraModules(modules, { model: 'demo', names: ['small'] })
  expect(read).toThrow(message)
})

test.each<[string, readonly string[], number, string]>([
  ['no pair', ['demo'], 2, '--lora-modules[0]: expected name=path or {"name", "path", '],
  ['no folder', ['a=./nowhere/at/all'], 1, 'adapter a: ./nowhere/at/all: there is no folder'],
  ['a rank', [`a=${dog}`, '--max-lora-rank', '8'], 2, '--max-lora-rank: expected at least 80'],
])('serve ends with %s', (_, modules, status, message) => {
  const flags = ['serve', '--port', '0', '--log-level', 'silent', '--max-model-len', '256']
  const { stderr, ...ended } = octavo([...flags, '--lora-modules', ...modules])
  expect(stderr).toContain(`octavo: ${message}`)
  expect(stderr.trim().split('\n')).toHaveLength(1)
  expect(ended.status).toBe(status)
})

test('worker refuses them before it connects', () => {
  const { status, stderr } = octavo(['worker', '--lora-modules', 'demo'])
  expect([status, stderr]).toEqual([2, expect.stringContaining('--lora-modules[0]: expected')])
})

test('generate tells of an adapter that is not there', () => {
  const { status, stderr } = octavo(['generate', prompt, '--lora', './nowhere/at/all'])
  expect(stderr).toContain('octavo: adapter all: ./nowhere/at/all: there is no folder')
  expect([status, stderr]).not.toContain('demo')
})
