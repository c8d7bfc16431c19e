import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { root, succeed } from './support/commands.js'

const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** The code blocks of a page in one language. */
const blocks = (text: string, language: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(
    ([, code]) => code!,
  )

/** Runs a snippet; one that imports nothing is given an engine. */
const run = (code: string): string => {
  const given = "import { LLMEngine } from 'octavo'\nconst engine = await LLMEngine.load('demo')\n"
  const program = code.includes('import ') ? code : `${given}${code}\nawait engine.close()`
  return succeed(process.execPath, ['--input-type=module', '--eval', program])
}

describe('README.md', () => {
  const [first, ...others] = blocks(read('README.md'), 'js')

  test('its first program prints what it says', () => {
    expect(run(first!)).toBe(blocks(read('README.md'), 'text')[0])
  })

  const printed = [
    /^The capital of France is Paris\. stop\nThe sky is blue\. stop\n$/,
    /^, there was .{40}/,
    /^The capital of France is Paris\. 0\n$/,
    /^0\.\d+\n$/,
    /^(a \[.+\]\n){8}$/s,
  ]
  test('has a program for each expectation', () => expect(others).toHaveLength(printed.length))
  test.each(printed.map((expected, i) => [i + 2, expected] as const))(
    'program %i',
    (number, expected) => {
      expect(run(others[number - 2]!)).toMatch(expected)
    },
  )
})

const pages = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))

describe.each(['README.md', ...pages.map((name) => `docs/${name}`)])('%s', (page) => {
  test('its links lead somewhere', () => {
    const links = [...read(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link]) => link!)
    const lost = links.filter(
      (link) => !link.startsWith('https://') && !existsSync(join(root, dirname(page), link)),
    )
    expect(lost).toEqual([])
  })
})

describe('docs/architecture.md', () => {
  const files = ['lib', 'csrc'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(
      (file) => `${folder}/${file}`,
    ),
  )
  const names = [...read('docs/architecture.md').matchAll(/[\w/-]+\.(?:ts|cc|h)\b/g)].map(
    ([name]) => name,
  )

  test('names files that exist', () => {
    const exists = (name: string) => files.some((file) => `/${file}`.endsWith(`/${name}`))
    expect(names.length).toBeGreaterThan(60)
    expect(names.filter((name) => !exists(name) && !existsSync(join(root, name)))).toEqual([])
  })

  test('names every source file, but where a folder holds many of one kind', () => {
    const alike =
      /^lib\/models\/|^lib\/server\/routes\/|^csrc\/(decoders|cuda|cpu\/kernels_)|\/index\.ts$/
    const sources = files.filter((file) => /\.(ts|cc)$/.test(file) && !alike.test(file))
    const named = new Set(names.map((name) => basename(name)))
    expect(sources.length).toBeGreaterThan(200)
    expect(sources.filter((file) => !named.has(basename(file)))).toEqual([])
  })
})

test('every page names scripts of npm that exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const docs = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'))
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    ...docs.map((file) => `docs/${file}`),
  ]
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!),
  )
  expect(named).toContain('build')
  expect(named.filter((name) => !(name in scripts))).toEqual([])
})
