import { execFile, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from './support/files.js'
import { SMOLLM2 } from './support/models.js'
import { octavo, startOctavo } from './support/octavo.js'

/** Starts a server on a free port; resolves to its address once it says that it is ready. */
async function start(args: readonly string[]) {
  const child = startOctavo(['serve', '--port', '0', ...args])
  const log: Record<string, unknown>[] = []
  let stderr = ''
  child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()))
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout!).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>
      log.push(entry)
      if (entry.msg === 'ready') resolve(entry.address as string)
    })
    void exit.then((code) => reject(new Error(`ended with ${code}: ${stderr}`)))
  })
  return { child, url, log, exit, stderr: () => stderr }
}

const complete = (url: string, body: object, init: RequestInit = {}) =>
  fetch(`${url}/v1/completions`, { method: 'POST', body: JSON.stringify(body), ...init })
const run = promisify(execFile)
const kill = (child: ChildProcess) => child.kill('SIGTERM')

test('serves, says so in one line, logs requests, and ends with 0', async () => {
  const folder = temporaryFolder()
  const config = join(folder, 'octavo.yaml')
  await writeFile(
    config,
    [
      'model: demo\nmax-num-seqs: 8\napiKey: [one]\nservedModelName: [tiny, acme/metrics]\nseed: 3',
      'basePath: /llm/',
      `chat-template: "{{ tone }} {{ messages[0].content }}"`,
      'default-chat-template-kwargs:\n  tone: kind\n',
    ].join('\n'),
  )
  const keys = join(folder, 'keys.txt')
  await writeFile(keys, '# of the team\ntwo\n\n  three\n')
  const flags = ['--config', config, '--max-num-seqs', '4', '--api-key-file', keys]
  const { child, url, log, exit, stderr } = await start(flags)
  expect(stderr()).toMatch(
    /^Octavo \d.* serves demo on cpu .* · cache \d[\d,]* blocks of 16 tokens · .* · http:\S+\n$/m,
  )
  expect(log.find(({ msg }) => msg === 'ready')).toMatchObject({ maxNumSeqs: 4, model: 'demo' })
  expect((await complete(url, { prompt: 'x' })).status).toBe(401)
  for (const key of ['one', 'two', 'three']) {
    const answer = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
    expect(answer.status).toBe(200)
  }
  const asked = { prompt: 'x', model: 'tiny', max_tokens: 1, ignore_eos: true }
  const headers = { authorization: 'Bearer one', 'x-request-id': 'r1' }
  const response = await complete(url, asked, { headers })
  expect(await response.json()).toMatchObject({ model: 'tiny', object: 'text_completion' })
  const probes = ['/health', '/metrics', '/llm/ping']
  const others = ['/v1/models/acme/metrics', '/other/ping']
  for (const path of [...probes, ...others]) await (await fetch(url + path, { headers })).text()
  const chat = { messages: [{ role: 'user', content: 'Hi' }] }
  const tokens = async (body: object) => {
    const asked = { method: 'POST', headers, body: JSON.stringify(body) }
    return ((await (await fetch(`${url}/tokenize`, asked)).json()) as { tokens: number[] }).tokens
  }
  expect(await tokens(chat)).toEqual(await tokens({ prompt: 'kind Hi' }))
  kill(child)
  expect(await exit).toBe(0)
  expect(log.find(({ requestId }) => requestId === 'r1')).toMatchObject({
    ...{ msg: 'request', status: 200, path: '/v1/completions' },
    ...{ model: 'tiny', promptTokens: 1, outputTokens: 1, finishReasons: ['length'] },
  })
  // Who watches over a server asks every few seconds.
  const paths = log.filter(({ msg }) => msg === 'request').map(({ path }) => path)
  expect(new Set(paths)).toEqual(new Set(['/v1/completions', '/v1/models', '/tokenize', ...others]))
})

const HAS_CURL = spawnSync('curl', ['--version']).status === 0

test.skipIf(!HAS_CURL)('curl, as the documentation says (needs curl)', async () => {
  const { child, url, exit } = await start(['--no-log-requests'])
  const ask = (...args: string[]) => run('curl', ['-sS', '--max-time', '20', ...args])
  const [, command] = /^curl localhost:8000(.*)$/m.exec(readFileSync('docs/server.md', 'utf8'))!
  const [, path, body] = /^(\S+) -d '(.*)'$/.exec(command!)!
  const chat = JSON.parse((await ask(url + path!, '-d', body!)).stdout) as { object: string }
  expect(chat.object).toBe('chat.completion')
  const stream = JSON.stringify({ prompt: 'Once', max_tokens: 3, ignore_eos: true, stream: true })
  const { stdout } = await ask('-N', '-i', `${url}/v1/completions`, '-d', stream)
  expect(stdout).toMatch(/^HTTP\/1.1 200 OK\r\n.*^content-type: text\/event-stream/ms)
  expect(stdout.match(/^data: /gm)).toHaveLength(4)
  expect(stdout.endsWith('data: [DONE]\n\n')).toBe(true)
  const { stdout: status } = await ask('-o', '/dev/null', '-w', '%{http_code}', `${url}/health`)
  expect(status).toBe('200')
  const refused = JSON.parse((await ask(`${url}/v1/completions`, '-d', '{')).stdout) as object
  expect(refused).toMatchObject({ error: { code: 'invalid_json' } })
  kill(child)
  expect(await exit).toBe(0)
})

test('drafts as flags and the configuration file spell it, which vLLM does in its way', async () => {
  const folder = temporaryFolder()
  const config = join(folder, 'octavo.yaml')
  await writeFile(config, 'speculative_config:\n  method: ngram\n  prompt_lookup_max: 0\n')
  const refusal = (...flags: string[]) => octavo(['serve', '--port', '0', ...flags]).stderr
  expect(refusal('--config', config)).toContain(
    'speculativeConfig.promptLookupMax: expected an integer from 1 to 32, found 0',
  )
  const given = ['--speculative-config', '{"method": "ngram", "num_speculative_tokens": 0}']
  expect(refusal('--config', config, ...given)).toContain(
    'speculativeConfig.numSpeculativeTokens: expected an integer from 1 to 64, found 0',
  )
  expect(refusal('--speculative-config', '{"method": "medusa"}')).toContain(
    'speculativeConfig.method: expected \'ngram\', found "medusa"',
  )
  const drafts = '{"method": "ngram", "num_speculative_tokens": 6, "promptLookupMax": 3}'
  const { child, url, exit } = await start(['demo', '--speculative-config', drafts])
  const prompt = 'Once upon a time there was a cat. '.repeat(6)
  await (await complete(url, { prompt, max_tokens: 100, temperature: 0, ignore_eos: true })).json()
  const metrics = await (await fetch(`${url}/metrics`)).text()
  for (const name of ['num_drafts', 'num_draft_tokens', 'num_accepted_tokens'])
    expect(metrics).toMatch(new RegExp(`^vllm:spec_decode_${name}_total\\{[^}]+\\} [1-9]`, 'm'))
  kill(child)
  expect(await exit).toBe(0)
})

test('a port in use is told before a model is sought', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  const { status, stderr } = octavo(['serve', './no-such-model', '--port', String(port)])
  other.close()
  expect(stderr).toMatch(/^octavo: .* address already in use .*; --port names another, .*\n$/)
  expect(status).toBe(1)
})

test.skipIf(SMOLLM2 === null)('SIGTERM while a model is being loaded (needs SmolLM2)', async () => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  const child = startOctavo(['serve', SMOLLM2!, '--port', String(port)])
  const exit = once(child, 'exit')
  const output = textOf(child.stdout!)
  const health = () => fetch(`http://127.0.0.1:${port}/health`).catch(() => null)
  let answer = await health()
  while (answer === null) answer = await sleep(1).then(health)
  expect(await answer.json()).toEqual({ status: 'starting' })
  kill(child)
  expect(await exit).toEqual([0, null])
  expect(await output).toContain('stopped before the model was loaded')
})

test('SIGTERM does not wait for a connection that never asked for anything', async () => {
  const { child, url, log, exit } = await start(['--shutdown-timeout', '2'])
  const silent = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined)
  await once(silent, 'connect')
  await fetch(`${url}/health`) // accepted after the silent one
  kill(child)
  expect(await exit).toBe(0)
  expect(log.map(({ msg }) => msg)).not.toContain('out of time')
})

test('a request that does not come whole within --request-timeout', async () => {
  const { child, url, exit } = await start(['--request-timeout', '1'])
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write('POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')
  expect(await textOf(socket)).toMatch(/^HTTP\/1.1 408 .*"code":"invalid_http"/s)
  kill(child)
  expect(await exit).toBe(0)
}, 20_000)

describe('SIGTERM under load', () => {
  const streams = 64
  const body = { prompt: 'Once', max_tokens: 200, ignore_eos: true }

  /** What the requests are answered that the server took before it is killed; some are streams. */
  async function killAmid(args: readonly string[]) {
    const server = await start([...args, '--no-log-requests', '--max-num-seqs', '8'])
    const { url, child } = server
    const answers = Array.from({ length: streams }, async (_, seed) => {
      const response = await complete(url, { ...body, seed, stream: seed % 4 > 0 })
      return response.text()
    })
    const loaded = async () => {
      const answer = (await (await fetch(`${url}/load`)).json()) as { server_load: number }
      return answer.server_load === streams
    }
    while (!(await loaded())) await sleep(1)
    kill(child)
    while (!server.log.some(({ msg }) => msg === 'draining')) await sleep(1)
    return { ...server, answers }
  }

  test('loses no request that was taken, and takes no more', async () => {
    const { url, log, answers, exit } = await killAmid([])
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    expect(error.code).toBe('ECONNREFUSED')
    expect(log.find(({ msg }) => msg === 'draining')?.inside).toBeGreaterThan(streams / 2)
    for (const text of await Promise.all(answers)) {
      expect(text).toContain('"finish_reason":"length"')
      if (text.startsWith('data')) expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
    }
    expect(await exit).toBe(0)
    expect(log.map(({ msg }) => msg).slice(-2)).toEqual(['draining', 'stopped'])
  })

  test('tells those whom it gives up when the time is over', async () => {
    const { log, answers, exit } = await killAmid(['--shutdown-timeout', '0'])
    const texts = await Promise.all(answers)
    const given = texts.filter((text) => !text.includes('"finish_reason":"length"'))
    expect(given.length).toBeGreaterThan(streams / 2)
    for (const text of given) expect(text).toMatch(/"type":"server_error".*"code":"closed"/)
    expect(await exit).toBe(0)
    expect(log.map(({ msg }) => msg).slice(-3)).toEqual(['draining', 'out of time', 'stopped'])
  })
})

test.each([
  [['--port', 'x'], 'Expected a number'],
  [['--config', 'nowhere.yaml'], 'nowhere.yaml'],
  [['--max-num-seqs', '0'], '--max-num-seqs: expected an integer of at least 1, found 0'],
  [['no/such/model', '--port', '0'], 'no/such/model'],
  [['--api-key-file', '/dev/null', '--port', '0'], '/dev/null: expected an API key a line'],
  [['--api-key-file', 'nowhere.txt', '--port', '0'], 'nowhere.txt'],
])('refuses %j', (args, message) => {
  const { status, stderr } = octavo(['serve', ...args])
  expect(status).toBeGreaterThan(0)
  expect(stderr).toContain(message)
})

test.each([
  ['apiKey: secret', '--api-key: expected an array, found "secret"'],
  ['apiKeyFile:', '--api-key-file: expected a string, found null'],
  ['log-requests: no', '--log-requests: expected true or false, found "no"'],
])('refuses a configuration of %j', async (line, message) => {
  const config = join(temporaryFolder(), 'octavo.yaml')
  await writeFile(config, `port: 0\n${line}\n`)
  const { status, stderr } = octavo(['serve', './no-such-model', '--config', config])
  expect(stderr).toContain(message)
  expect(status).toBe(2)
})
