import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { npm, root, succeed } from './support/commands.js'

interface Packed {
  readonly files: readonly { readonly path: string }[]
}

describe('the package that npm makes', () => {
  const json = npm(['pack', '--dry-run', '--json', '--ignore-scripts'])
  const [packed] = JSON.parse(json) as Packed[]
  const paths = packed!.files.map(({ path }) => path)

  test('holds the compiled library, for both kinds of module, and the command', () => {
    for (const name of ['index', 'errors', 'engine/llm-engine']) {
      for (const folder of ['dist', 'dist/cjs']) {
        expect(paths).toContain(`${folder}/${name}.js`)
        expect(paths).toContain(`${folder}/${name}.d.ts`)
      }
    }
    for (const name of ['index', 'server', 'ai', 'worker'])
      expect(paths).toContain(`dist/esm/${name}.js`)
    expect(paths).toContain('dist/cjs/package.json')
    expect(paths).toContain('dist/cli/main.js')
  })

  test('holds the demo model, the licence and the documents', () => {
    const model = ['config.json', 'model.safetensors', 'tokenizer.json', 'chat_template.jinja']
    for (const name of model) expect(paths).toContain(`models/demo/${name}`)
    for (const name of ['LICENSE', 'README.md', 'CHANGELOG.md']) expect(paths).toContain(name)
  })

  test('holds every source that a machine without a prebuild compiles', () => {
    const { variables } = JSON.parse(readFileSync(join(root, 'csrc/sources.gypi'), 'utf8')) as {
      readonly variables: Readonly<Record<string, readonly string[]>>
    }
    expect(paths).toContain('binding.gyp')
    expect(paths).toContain('csrc/sources.gypi')
    expect(Object.values(variables).flat()).not.toHaveLength(0)
    for (const source of Object.values(variables).flat()) expect(paths).toContain(source)
  })

  test('declares types of no package that need not be installed', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly dependencies: Readonly<Record<string, string>>
    }
    const files = new Set(['dist/index.d.ts', 'dist/server/index.d.ts'])
    const packages = new Set<string>()
    for (const file of files) {
      const text = readFileSync(join(root, file), 'utf8')
      for (const [, from] of text.matchAll(/(?:from |import\()['"]([^'"]+)['"]/g)) {
        if (from!.startsWith('.')) files.add(join(dirname(file), from!.replace(/\.js$/, '.d.ts')))
        else if (!from!.startsWith('node:')) packages.add(from!)
      }
    }
    expect(files.size).toBeGreaterThan(50)
    expect([...packages].filter((name) => !Object.hasOwn(dependencies, name))).toEqual([])
  })

  test('holds nothing else', () => {
    const wanted =
      /^(dist|csrc|models\/demo|prebuilds)\/|^(package\.json|binding\.gyp|CMakeLists\.txt|\w+\.md|LICENSE)$/
    expect(paths.filter((path) => !wanted.test(path))).toEqual([])
    const unwanted = /\.tsbuildinfo$|\.map$|(?<!\.d)\.ts$|\.test\.|\.(o|a|log|tgz)$/
    expect(paths.filter((path) => unwanted.test(path))).toEqual([])
  })
})

// With a node-gyp that only prints how it was called. Windows starts another file.
describe.skipIf(process.platform === 'win32')('the install script', () => {
  function install(prepare: (folder: string) => void): string {
    const folder = mkdtempSync(join(tmpdir(), 'octavo-install-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    for (const path of ['csrc/install.cjs', 'node_modules/node-gyp-build']) {
      cpSync(join(root, path), join(folder, path), { recursive: true })
    }
    writeFileSync(join(folder, 'node-gyp'), '#!/bin/sh\necho "$@ by $JOBS"\n', { mode: 0o755 })
    prepare(folder)
    const PATH = [folder, join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter)
    const { JOBS: _, ...env } = process.env
    return succeed('sh', ['-c', scripts.install], { cwd: folder, env: { ...env, PATH } })
  }
  const json = readFileSync(join(root, 'package.json'), 'utf8')
  const { scripts } = JSON.parse(json) as { readonly scripts: { readonly install: string } }

  test('compiles with all processors', () => {
    expect(install(() => undefined)).toBe('rebuild by max\n')
  })

  test('compiles nothing where a prebuild loads', () => {
    const prebuild = `prebuilds/${process.platform}-${process.arch}/octavo.node`
    const copy = (folder: string) =>
      cpSync(join(root, 'build/Release/octavo.node'), join(folder, prebuild))
    expect(install(copy)).toBe('')
  })
})

test('TypeScript without exports finds the types of what it runs, of one tree, whose classes are the same', () => {
  const { exports, main, types, typesVersions } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as {
    readonly exports: Readonly<Record<string, { readonly require: object }>>
    readonly main: string
    readonly types: string
    readonly typesVersions: { readonly '*': Readonly<Record<string, readonly [string]>> }
  }
  expect({ types, default: main }).toEqual(exports['.']!.require)
  for (const [name, [found]] of Object.entries(typesVersions['*']))
    expect(exports[`./${name}`]!.require).toMatchObject({ types: found })
})

test('the lock file names no registry', () => {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8')
  expect(lock).not.toContain('"resolved"')
})

test('the bundles find their threads and files, and share their classes', () => {
  const program = `
    import { EngineError, LLMEngine } from 'octavo'
    import { createHandler } from 'octavo/server'
    const engine = await LLMEngine.load('demo', { log: false })
    const long = 'Once upon a time there was a cat. '.repeat(600) // a worker's
    const tooLong = await engine.generate(long).catch(({ message }) => message)
    const options = { structuredOutputs: { choice: ['yes'] }, maxTokens: 8 } // a thread's
    const [{ outputs }] = await engine.generate(['Is it?'], options)
    const handler = createHandler(engine)
    const page = await handler(new Request('http://localhost/dashboard'))
    await engine.close()
    const refused = await engine.generate('a').catch((error) => error)
    const body = JSON.stringify({ model: 'demo', prompt: 'a' })
    const headers = { 'content-type': 'application/json' }
    const reply = await handler(new Request('http://localhost/v1/completions', { method: 'POST', body, headers }))
    const facts = [tooLong, outputs[0].text, page.status, refused instanceof EngineError]
    console.log(JSON.stringify([...facts, reply.status]))`
  const output = succeed(process.execPath, ['--input-type=module', '-e', program])
  expect(JSON.parse(output)).toEqual([expect.stringMatching(/found \d{4}$/), 'yes', 200, true, 503])
})
