import { whyNotEmulated } from '../support/emulated.js'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attempt, root, succeed } from '../support/commands.js'

interface Report {
  readonly failures: number
  /** `found` is null where it was not measured. */
  readonly goals: readonly {
    readonly goal: string
    readonly wanted: number
    readonly found: number | null
    readonly reached: boolean | null
  }[]
  readonly checks: readonly {
    readonly check: string
    readonly failure: string | null
    readonly figures?: Readonly<Record<string, number>>
  }[]
}

const dist = existsSync(join(root, 'dist/index.js'))

describe.skipIf(whyNotEmulated || !dist)('scripts/gpu-check, on the emulator', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(root, 'build-gpu-check-test-')) // recordings name model files by relative paths
    const data = ['--out', folder, '--tests', 'norm of 7 columns|blocks of 8 tokens|minP: 0.02']
    succeed(process.execPath, ['scripts/gpu-check-data.mjs', ...data, '--models', 'llama-tied'])
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
    rmSync(`${folder}.tar.gz`)
  })

  const out = join(tmpdir(), `octavo-gpu-check-${process.pid}.json`)
  afterAll(() => rmSync(out, { force: true }))

  function check(...options: string[]) {
    const args = ['--emulated', '--data', folder, '--out', out, ...options]
    const { status, stderr } = attempt('scripts/gpu-check', args)
    expect(stderr).toBe('')
    return { status, report: JSON.parse(readFileSync(out, 'utf8')) as Report }
  }

  it('replays kernels and models, graphs on and off, and times, from the file that is carried', () => {
    rmSync(folder, { recursive: true })
    const { status, report } = check('--again')
    expect(report.checks.filter(({ failure }) => failure !== null)).toEqual([])
    expect(status).toBe(0)
    const names = report.checks.map((each) => each.check)
    for (const each of readdirSync(join(folder, 'cases'))) expect(names).toContain(each)
    for (const type of ['float32', 'bfloat16', 'float16'])
      for (const graphs of ['on', 'off'])
        expect(names).toContain(`llama-tied-gqa1-${type}-graphs-${graphs}`)
    const timed = ['memory', 'decode-attention', 'latent-attention', 'prefill-attention']
    for (const name of [...timed, 'block-copy', 'linear', 'sample', 'model'])
      expect(report.checks.find((each) => each.check === `bench ${name}`)!.figures).toBeDefined()
    expectGoals(report)
  })

  /** What was measured is beside what is wanted of it, and nothing else is. */
  function expectGoals({ goals, checks }: Report) {
    const share = (name: string, figure: string) =>
      checks.find((each) => each.check === `bench ${name}`)!.figures![figure]!
    const found = goals.map((each) => each.found)
    expect(found[0]).toBe(share('decode-attention', 'share of memory'))
    expect(found[2]).toBe(share('block-copy', 'share of memory'))
    expect(found[4]).toBe(share('model', '1 sequences: share of memory'))
    expect([found[1], found[3]]).toEqual([null, null]) // the emulator's memory has no clock
    for (const { found, wanted, reached } of goals)
      expect(reached).toBe(found === null ? null : found >= wanted)
  }

  it('reports what is not as recorded, and does only that again', () => {
    const [name] = readdirSync(join(folder, 'cases')).filter((each) => each.includes('norm'))
    const events = join(folder, 'cases', name!, 'events.bin')
    const recorded = readFileSync(events)
    const spoilt = Buffer.from(recorded)
    spoilt.writeFloatLE(1e9, spoilt.length - 8 * 3 * 7) // the first wanted number of the last value
    writeFileSync(events, spoilt)
    const failed = check('--again', '--only', name!)
    expect(failed.status).toBe(1)
    expect(failed.report.failures).toBe(1)
    expect(failed.report.checks.find(({ failure }) => failure !== null)).toMatchObject({
      check: name,
      failure: expect.stringMatching(/expected 1000000000/) as string,
    })
    writeFileSync(events, recorded)
    const { status, report } = check('--only', name!)
    expect(status).toBe(0)
    expect(report.checks.map((each) => each.check).sort()).toEqual(['build', name].sort())
  })
})
