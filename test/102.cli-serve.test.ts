import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { ChildProcess } from 'node:child_process'
import { expect, test } from 'vitest'
import { temporaryFolder } from './support/files.js'
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
const kill = (child: ChildProcess) => child.kill('SIGTERM')

test('serves, says so in one line, logs requests, and ends with 0', async () => {
  const folder = temporaryFolder()
  const config = join(folder, 'octavo.yaml')
  await writeFile(config, 'model: demo\nmax-num-seqs: 8\napiKey: [one]\nservedModelName: [tiny]\n')
  const { child, url, log, exit, stderr } = await start(['--config', config, '--max-num-seqs', '4'])
  expect(stderr()).toMatch(
    /^Octavo \d.* serves demo on cpu .* · cache \d[\d,]* blocks of 16 tokens · .* · http:\S+\n$/m,
  )
  expect(log.find(({ msg }) => msg === 'ready')).toMatchObject({ maxNumSeqs: 4, model: 'demo' })
  expect((await complete(url, { prompt: 'x' })).status).toBe(401)
  const headers = { authorization: 'Bearer one', 'x-request-id': 'r1' }
  const response = await complete(url, { prompt: 'x', model: 'tiny' }, { headers })
  expect(await response.json()).toMatchObject({ model: 'tiny', object: 'text_completion' })
  kill(child)
  expect(await exit).toBe(0)
  expect(log.find(({ requestId }) => requestId === 'r1')).toMatchObject({
    ...{ msg: 'request', status: 200, path: '/v1/completions' },
  })
})

test('SIGTERM under load loses no request that was taken', async () => {
  const { child, url, exit } = await start(['--no-log-requests', '--max-num-seqs', '8'])
  const body = { prompt: 'Once', max_tokens: 200, ignore_eos: true, stream: true }
  const taken = await Promise.all(Array.from({ length: 16 }, () => complete(url, body)))
  kill(child)
  const texts = await Promise.all(taken.map((response) => response.text()))
  for (const text of texts) {
    expect(text).toContain('"finish_reason":"length"')
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true)
  }
  expect(await exit).toBe(0)
  await expect(complete(url, body)).rejects.toThrow()
})

test.each([
  [['--port', 'x'], 'Expected a number'],
  [['--config', 'nowhere.yaml'], 'nowhere.yaml'],
  [['--max-num-seqs', '0'], '--max-num-seqs: expected an integer of at least 1, found 0'],
  [['no/such/model', '--port', '0'], 'no/such/model'],
])('refuses %j', (args, message) => {
  const { status, stderr } = octavo(['serve', ...args])
  expect(status).toBeGreaterThan(0)
  expect(stderr).toContain(message)
})
