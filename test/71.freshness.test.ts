import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { isStale } from '../scripts/lib/freshness.mjs'

// What `npm start` and `npm test` decide by: does something have to be compiled again?
let folder: string
let output: string
let sources: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'octavo-freshness-'))
  output = join(folder, 'output')
  sources = join(folder, 'sources')
  mkdirSync(join(sources, 'deep'), { recursive: true })
  change('sources/deep/a', 100)
  setTime('sources/deep', 100)
  setTime('sources', 100)
})
afterEach(() => rmSync(folder, { recursive: true }))

function change(path: string, seconds: number): void {
  writeFileSync(join(folder, path), '')
  setTime(path, seconds)
}

function setTime(path: string, seconds: number): void {
  utimesSync(join(folder, path), seconds, seconds)
}

test('a missing output is stale', () => {
  expect(isStale(output, [sources])).toBe(true)
})

test('an output newer than all sources is fresh', () => {
  change('output', 200)
  expect(isStale(output, [sources])).toBe(false)
})

test('a newer source, however deep, makes the output stale', () => {
  change('output', 200)
  change('sources/deep/a', 300)
  expect(isStale(output, [sources])).toBe(true)
})

test('a removed source makes the output stale', () => {
  change('output', 200)
  rmSync(join(sources, 'deep/a')) // changes the time of its folder to now
  expect(isStale(output, [sources])).toBe(true)
})

test('a source that is a file counts, and one that does not exist never does', () => {
  change('output', 200)
  change('binding.gyp', 100)
  expect(isStale(output, [join(folder, 'binding.gyp'), join(folder, 'absent')])).toBe(false)
  setTime('binding.gyp', 300)
  expect(isStale(output, [join(folder, 'binding.gyp'), join(folder, 'absent')])).toBe(true)
})
