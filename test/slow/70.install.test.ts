import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { npm, succeed } from '../support/commands.js'
import { GENERATE, installInto, pack } from '../support/package.js'

// What a user has who types `npm install octavo` on a machine with a compiler.
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-install-'))
  installInto(folder, pack(folder))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('the installed package', () => {
  test('generates the same from an ES module and from CommonJS', () => {
    writeFileSync(
      join(folder, 'generate.mjs'),
      `import { LLMEngine, EngineError } from 'octavo'\n${GENERATE}`,
    )
    writeFileSync(
      join(folder, 'generate.cjs'),
      `const { LLMEngine, EngineError } = require('octavo')\n${GENERATE}`,
    )
    const fromModule = succeed(process.execPath, ['generate.mjs'], { cwd: folder })
    const fromCommonJs = succeed(process.execPath, ['generate.cjs'], { cwd: folder })
    expect(JSON.parse(fromModule)).toMatchObject({ tokens: 8, code: 'model_not_found' })
    expect(fromCommonJs).toBe(fromModule)
  })

  test('has a command that generates', () => {
    const args = ['exec', '--offline', '--', 'octavo', 'generate', 'Once upon a time']
    expect(npm(args, { cwd: folder }).trim()).not.toBe('')
  })

  test('has declarations that a strict TypeScript program compiles with', () => {
    const sources = join(folder, 'typed')
    mkdirSync(sources)
    const program = (kind: string) => `import { LLMEngine, type RequestOutput } from 'octavo'
export async function ${kind}(): Promise<RequestOutput[]> {
  const engine = await LLMEngine.load('demo', { device: 'cpu' })
  // @ts-expect-error A misspelled option is an error already here.
  await engine.generate('One', { maxToken: 4 })
  return engine.generate(['One', 'Two'], { maxTokens: 4, temperature: 0 })
}
`
    writeFileSync(join(sources, 'esm.mts'), program('fromModule'))
    writeFileSync(join(sources, 'cjs.cts'), program('fromCommonJs'))
    const tsc = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')
    const strict = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2022']
    const types = ['--typeRoots', join(import.meta.dirname, '../../node_modules/@types')]
    const files = ['typed/esm.mts', 'typed/cjs.cts']
    succeed(process.execPath, [tsc, ...strict, ...types, ...files], { cwd: folder })
  })
})
