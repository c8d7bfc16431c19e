import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { LoadBar } from '../lib/cli/load-bar.js'
import { withEngine } from '../lib/cli/load.js'
import { root } from './support/commands.js'
import { temporaryFolder } from './support/files.js'
import { ggufFile } from './support/gguf.js'
import { serveHub, type HubServer } from './support/hub-server.js'
import { startOctavo } from './support/octavo.js'
import { stderrOf } from './support/terminal.js'

const ID = 'org/tiny'
const demo = join(root, 'models/demo')
let hub: HubServer
let environment: Record<string, string>

beforeEach(async () => {
  const names = readdirSync(demo)
  const file = (name: string) => ({
    content: readFileSync(join(demo, name)),
    large: name.endsWith('.safetensors'),
  })
  hub = await serveHub(ID, Object.fromEntries(names.map((name) => [name, file(name)])))
  environment = { HF_ENDPOINT: hub.url, HF_HUB_CACHE: temporaryFolder(), HF_HUB_OFFLINE: '' }
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
})
afterEach(() => void vi.unstubAllEnvs())

/** Runs the command while this process goes on serving. */
async function run(args: readonly string[]) {
  const child = startOctavo(args, environment)
  const text = { stdout: '', stderr: '' }
  child.stdout!.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, ...text }
}

test('a model is downloaded once; no bar is drawn into a pipe', async () => {
  const args = ['generate', '-m', ID, 'The', '--temperature', '0']
  for (let i = 0; i < 2; i++) {
    const { status, stdout, stderr } = await run(args)
    expect(stdout).toBe(' capital of Egypt is Cairo.\n')
    expect(stderr).toMatch(/^7 tokens in .*\n$/)
    expect(status).toBe(0)
  }
  const weights = hub.requests.filter((request) => request.endsWith('model.safetensors'))
  expect(weights).toHaveLength(1)
})

test('plan and info fetch no weights', async () => {
  expect((await run(['plan', ID])).stdout).toMatch(/^octavo-plan 1 llama/)
  expect((await run(['info', ID])).stdout).toContain('1,181,056')
  expect(hub.requests.join('\n')).not.toContain('safetensors')
})

/** What info and plan read of a file. */
const LLAMA = {
  'general.architecture': 'llama',
  'llama.block_count': 1,
  'llama.context_length': 64,
  'llama.embedding_length': 32,
  'llama.feed_forward_length': 64,
  'llama.attention.head_count': 2,
  'llama.attention.layer_norm_rms_epsilon': 0.5,
  'tokenizer.ggml.model': 'gpt2',
  'tokenizer.ggml.tokens': ['a', 'b'],
  'tokenizer.ggml.token_type': [1, 1],
  'tokenizer.ggml.merges': ['a b'],
}
const TABLE = {
  ...{ name: 'token_embd.weight', shape: [2, 32], type: 0 },
  data: new Uint8Array(4 * 2 * 32),
}

test('info and plan take a GGUF file by its tag', async () => {
  const content = ggufFile(LLAMA, [TABLE])
  const files = ['tiny-Q4_K_M.gguf', 'tiny-Q8_0.gguf'].map((name) => [name, { content }] as const)
  environment.HF_ENDPOINT = (await serveHub(ID, Object.fromEntries(files))).url
  const shown = await run(['info', `${ID}:q8_0`, '--json'])
  expect(shown.stderr).toBe('')
  expect(JSON.parse(shown.stdout)).toMatchObject({
    folder: expect.stringMatching(/tiny-Q8_0\.gguf$/) as string,
    shape: { layers: 1, vocabSize: 2 },
  })
  expect((await run(['plan', `${ID}/tiny-Q4_K_M.gguf`])).stdout).toMatch(/^octavo-plan 1 llama/)
  const { status, stderr } = await run(['plan', `${ID}:Q6_K`])
  expect(stderr).toMatch(
    /^octavo: org\/tiny has no GGUF file Q6_K: there are tiny-Q4_K_M\.gguf, tiny-Q8_0\.gguf; .*\n$/,
  )
  expect(status).toBe(1)
})

test('a terminal shows a bar with file and size', async () => {
  const use = () => withEngine({ model: ID }, () => Promise.resolve())
  const shown = await stderrOf(use, { isTTY: true })
  expect(shown).toMatch(/\w+\.\w+ .+ \d+ % of 2\.\d MiB/)
  expect(shown).not.toContain('downloading')
})

test('and one for weights, unless they are there at once', async () => {
  const show = (fractions: readonly number[]) =>
    stderrOf(
      () =>
        LoadBar.during(({ onProgress }) => {
          for (const fraction of fractions)
            onProgress({ phase: 'weights', fraction, loadedBytes: fraction * 2e6, totalBytes: 2e6 })
          return Promise.resolve()
        }),
      { isTTY: true },
    )
  expect(await show([0, 0.5, 1])).toMatch(/weights .+ 50 % of 1\.9 MiB/)
  expect(await show([0, 1])).not.toContain('weights')
})

test('a server logs its download, and SIGTERM ends it meanwhile', async () => {
  hub.stallAfter = 1_000_000
  const child = startOctavo(['serve', ID, '--port', '0'], environment)
  hub.onStall = () => child.kill('SIGTERM')
  let log = ''
  child.stdout!.on('data', (chunk: Buffer) => (log += chunk.toString()))
  expect(await once(child, 'close')).toEqual([0, null])
  expect(log).toMatch(/"msg":"downloading org\/tiny: \d+ % of 2 MiB"/)
  expect(log).toContain('stopped before the model was loaded')
  expect(hub.givenUp).toBe(1)
})
