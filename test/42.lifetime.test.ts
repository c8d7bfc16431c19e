import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root } from './support/commands.js'

/** Each scenario runs in a process of its own. One that hangs is killed and named. */
const DEADLINE_MS = 20_000

let folder: string
let program: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-lifetime-'))
  program = join(folder, 'scenarios.mjs')
  const entry = join(root, 'test/support/lifetime-scenarios.ts')
  await build({
    entryPoints: [entry],
    outfile: program,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
  })
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly lines: readonly string[]
  readonly stderr: string
}

function run(scenario: string): Promise<Ending> {
  const child = spawn(process.execPath, ['--expose-gc', program, scenario], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      child.kill('SIGKILL')
      reject(new Error(`'${scenario}' hung after it had printed: ${stdout}${stderr}`))
    }, DEADLINE_MS)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(deadline)
      resolve({ code, signal, lines: stdout.trim().split('\n').filter(Boolean), stderr })
    })
  })
}

/** The scenario ends by itself, without an error, having printed the lines. */
async function endsWell(scenario: string, lines: readonly string[]): Promise<void> {
  const ending = await run(scenario)
  expect(ending).toEqual({ code: 0, signal: null, lines, stderr: '' })
}

describe('a process ends', { timeout: DEADLINE_MS + 5000 }, () => {
  it('by itself where an engine is idle and was never disposed', async () => {
    await endsWell('idle at the end', ['idle'])
  })

  it('only after the step in flight has given its result', async () => {
    await endsWell('busy at the end', ['submitted', 'result'])
  })

  it('at once by process.exit while a step runs and others wait', async () => {
    const { code, signal, lines, stderr } = await run('exit while busy')
    expect({ code, signal, lines, stderr }).toEqual({
      code: 3,
      signal: null,
      lines: ['exit'],
      stderr: '',
    })
  })

  it('by process.exit in a callback', async () => {
    const { code, signal, stderr } = await run('exit in a callback')
    expect({ code, signal, stderr }).toEqual({ code: 4, signal: null, stderr: '' })
  })

  it('by an uncaught exception while a step runs', async () => {
    const { code, signal, stderr } = await run('throw while busy')
    expect({ code, signal }).toEqual({ code: 1, signal: null })
    expect(stderr).toContain('thrown on purpose')
    expect(stderr).not.toMatch(/FATAL|terminate called|Assertion/)
  })
})

describe('an engine', { timeout: DEADLINE_MS + 5000 }, () => {
  it('hands what a callback throws to the process and goes on', async () => {
    await endsWell('throw in a callback', ['uncaught: from onResult', 'went on'])
  })

  it('ends its step, drops the others and says no more when it is disposed', async () => {
    await endsWell('dispose mid-step', [
      'of 5 dropped some: true, told all others: true',
      'told more: false',
    ])
  })

  it('cuts a load short when it is disposed', async () => {
    await endsWell('dispose mid-load', ['Error: the engine was disposed'])
  })

  it('rejects waiting copies when it is disposed', async () => {
    await endsWell('dispose with copies waiting', ['Error: the engine was disposed'])
  })

  it('does not keep the process after a failed load', async () => {
    await endsWell('failed load', ["Error: plan line 1: expected 'octavo-plan', found 'not'"])
  })

  it('runs beside others, and ends without them', async () => {
    await endsWell('two engines at once', ['equal: true', 'the others went on'])
  })

  it.runIf(process.platform === 'linux')('says that the system has too few threads', async () => {
    await endsWell('too many threads', [
      'Error: threads: expected 256, the system gives this process …',
      'another is idle',
    ])
  })

  it('is collected when it is idle and nobody knows it', async () => {
    await endsWell('collected without dispose', ['collected the engine'])
  })

  it('is not collected while it is busy', async () => {
    await endsWell('not collected while busy', ['result'])
  })
})

describe('worker threads', { timeout: DEADLINE_MS + 5000 }, () => {
  it('end with an engine that was never disposed', async () => {
    await endsWell('worker that ends itself', ['idle', ', exit code 0'])
  })

  it('are terminated mid-step without harm, again and again', async () => {
    await endsWell('worker terminated mid-step', Array<string>(3).fill('streaming, exit code 1'))
  })

  it('have engines of their own', async () => {
    await endsWell('workers side by side', ['equal: true'])
  })
})
