import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readGguf } from '../lib/weights/gguf.js'
import { temporaryFolder } from './support/files.js'
import { ggufFile, type GgufTensor } from './support/gguf.js'

const F32 = 0
const Q8_0 = 8

function write(bytes: Uint8Array): string {
  const path = join(temporaryFolder(), 'model.gguf')
  writeFileSync(path, bytes)
  return path
}

const read = (bytes: Uint8Array) => readGguf(write(bytes))

const tensor = (changes: Partial<GgufTensor> = {}): GgufTensor => ({
  ...{ name: 'a', shape: [2, 4], type: F32, data: new Uint8Array(32) },
  ...changes,
})

/** Finds the text in the file and puts bytes `distance` behind its end. */
function patched(file: Buffer, text: string, distance: number, bytes: readonly number[]): Buffer {
  const copy = Buffer.from(file)
  copy.set(bytes, copy.indexOf(text) + text.length + distance)
  return copy
}

describe('a GGUF header', () => {
  test('gives metadata of every kind', async () => {
    const metadata = {
      'general.architecture': 'llama',
      a: 7,
      b: 0.00001,
      c: true,
      d: ['x', 'ÿ€😀', ''],
      e: [1, 2],
      f: [-1, 0.5],
    }
    const file = await read(ggufFile(metadata, []))
    expect(Object.fromEntries(file.metadata)).toEqual(metadata)
  })

  test('places tensors, their shapes with the contiguous dimension last', async () => {
    const tensors = [
      tensor(),
      tensor({ name: 'b', shape: [3, 32], type: Q8_0, data: new Uint8Array(102) }),
    ]
    const bytes = ggufFile({ a: 1 }, tensors)
    const path = write(bytes)
    const [a, b] = (await readGguf(path)).tensors
    const start = bytes.length - 32 - 128
    expect(a).toEqual({
      name: 'a',
      file: path,
      offset: start,
      length: 32,
      dtype: 'F32',
      shape: [2, 4],
    })
    expect(b).toMatchObject({ offset: start + 32, length: 102, dtype: 'Q8_0', shape: [3, 32] })
  })

  test('reads version 2, and says which others it does not', async () => {
    const file = ggufFile({ a: 1 }, [tensor()])
    expect((await read(patched(file, 'GGUF', 0, [2]))).tensors).toHaveLength(1)
    await expect(read(patched(file, 'GGUF', 0, [1]))).rejects.toMatchObject({
      code: 'unsupported_model',
      message: 'model.gguf: GGUF version 1 is not supported; supported are 2 and 3, little-endian',
    })
    await expect(read(patched(file, 'GGUF', 0, [0, 0, 0, 3]))).rejects.toThrow('version 50331648')
  })

  test('counts the data from the alignment that the file states', async () => {
    const file = patched(ggufFile({ 'general.alignment': 32 }, [tensor()]), 'alignment', 4, [0, 1])
    await expect(read(file)).rejects.toThrow('tensor a: bytes')
    expect((await read(Buffer.concat([file, Buffer.alloc(128)]))).tensors[0]!.offset).toBe(256)
  })
})

describe('a broken GGUF header', () => {
  const file = ggufFile({ key: ['x'] }, [tensor(), tensor({ name: 'bb' })])

  test.each<[string, Uint8Array, string]>([
    ['an empty file', Buffer.alloc(0), 'header: the file ends within it'],
    ['another file', Buffer.from('PK\x03\x04....'), 'header: expected GGUF, found'],
    [
      'too many tensors',
      patched(file, 'GGUF', 4, [255, 255, 255, 255]),
      'tensor count: 4294967295',
    ],
    [
      'too many keys',
      patched(file, 'GGUF', 12, [0, 0, 0, 0, 0, 1]),
      'metadata count: 1099511627776',
    ],
    [
      'a long key',
      patched(file, 'GGUF', 20, [0, 0, 0, 0, 0, 0, 0, 255]),
      'metadata key 0: a string',
    ],
    ['an unknown value type', patched(file, 'key', 0, [77]), 'metadata "key": value type 77'],
    ['a list of lists', patched(file, 'key', 4, [9]), 'metadata "key": value type 9 is not known'],
    ['a long list', patched(file, 'key', 8, [0, 0, 0, 1]), 'metadata "key": 16777216 entries'],
    [
      'five dimensions',
      patched(file, 'bb', 0, [5]),
      'tensor bb: expected 1 to 4 dimensions, found 5',
    ],
    ['a shape of nothing', patched(file, 'bb', 4, [0]), 'tensor bb: shape [2, 0] is impossible'],
    [
      'a shape beyond counting',
      patched(file, 'bb', 4, [255, 255, 255, 255, 255, 255, 255, 255]),
      'tensor bb: shape [2, 18446744073709552000] is impossible',
    ],
    ['an unknown type', patched(file, 'bb', 20, [200]), 'tensor bb: element type 200 is not known'],
    ['a cut block', patched(file, 'bb', 20, [Q8_0]), 'Q8_0 wants rows of a multiple of 32 values'],
    ['a crooked offset', patched(file, 'bb', 24, [33]), 'offset 33 is no multiple of 32'],
    ['two in one place', patched(file, 'bb', 24, [0]), 'lies inside tensor a'],
    ['an offset outside', patched(file, 'bb', 27, [1]), 'lie outside a file of'],
    ['an end too early', file.subarray(0, -32), 'lie outside a file of'],
    ['a header cut short', file.subarray(0, 130), 'the file ends within it'],
    ['a name twice', ggufFile({}, [tensor(), tensor()]), 'tensor a: it is there twice'],
    [
      'an alignment of 3',
      ggufFile({ 'general.alignment': 3 }, []),
      'expected a power of two, found 3',
    ],
  ])('of %s is refused by name', async (_, bytes, message) => {
    const error = await read(bytes).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'invalid_file' })
    expect((error as Error).message).toContain(`model.gguf: `)
    expect((error as Error).message).toContain(message)
  })
})
