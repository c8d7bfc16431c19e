import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { readSafetensors } from '../lib/weights/safetensors.js'
import { temporaryFolder, writeRawSafetensors, writeSafetensors } from './support/files.js'
import { FIXTURES } from './support/models.js'

const F32 = { dtype: 'F32', shape: [2, 3] }

describe('a safetensors header', () => {
  let file: string

  beforeEach(() => {
    file = join(temporaryFolder(), 'model.safetensors')
  })

  it('gives name, place, type and shape of every tensor', async () => {
    writeSafetensors(file, {
      a: F32,
      b: { dtype: 'BF16', shape: [] },
      c: { dtype: 'F16', shape: [0] },
    })
    const start = 8 + Number(readFileSync(file).readBigUInt64LE())
    expect((await readSafetensors(file)).tensors).toEqual([
      { name: 'a', file, offset: start, length: 24, dtype: 'F32', shape: [2, 3] },
      { name: 'b', file, offset: start + 24, length: 2, dtype: 'BF16', shape: [] },
      { name: 'c', file, offset: start + 26, length: 0, dtype: 'F16', shape: [0] },
    ])
  })

  it('is read from a file that another program wrote, with its metadata', async () => {
    const { tensors, metadata } = await readSafetensors(
      join(FIXTURES, 'models/llama/model.safetensors'),
    )
    expect(metadata).toEqual(new Map([['format', 'pt']]))
    expect(tensors).toHaveLength(21)
    expect(tensors[0]).toMatchObject({ name: 'lm_head.weight', dtype: 'BF16', shape: [256, 64] })
  })

  async function expectInvalid(message: string): Promise<void> {
    const error = { code: 'invalid_file', message: `model.safetensors: ${message}` }
    await expect(readSafetensors(file)).rejects.toMatchObject(error)
  }

  async function expectInvalidHeader(header: object, data: number, message: string): Promise<void> {
    writeRawSafetensors(file, header, data)
    await expectInvalid(message)
  }

  const a = (change: object) => ({ a: { ...F32, data_offsets: [0, 24], ...change } })

  it('refuses a file shorter than a header length', async () => {
    writeFileSync(file, 'short')
    await expectInvalid('expected at least 8 bytes, found 5')
  })

  it('refuses a header that does not fit in the file', async () => {
    writeFileSync(file, Buffer.from([100, 0, 0, 0, 0, 0, 0, 0, 0x7b]))
    await expectInvalid('header of 100 bytes does not fit in a file of 9 bytes')
    writeFileSync(file, Buffer.alloc(16, 0xff))
    await expectInvalid('header of 18446744073709552000 bytes does not fit in a file of 16 bytes')
  })

  it('refuses a header that is no JSON object', async () => {
    writeRawSafetensors(file, '[1]', 0)
    await expectInvalid('header must be a JSON object')
    writeRawSafetensors(file, '{"a": ', 0)
    await expect(readSafetensors(file)).rejects.toThrow(/^model\.safetensors: header is not JSON: /)
  })

  it('refuses a truncated file', async () => {
    await expectInvalidHeader(
      a({}),
      20,
      "tensor a: bytes 0 to 24 lie outside the file's 20 bytes of data",
    )
  })

  it('refuses an unknown element type', async () => {
    await expectInvalidHeader(a({ dtype: 'F7' }), 24, 'tensor a: unknown element type F7')
  })

  it('refuses a range that contradicts the shape', async () => {
    const wrong = a({ shape: [2, 4] })
    await expectInvalidHeader(wrong, 24, 'tensor a: F32 [2, 4] takes 32 bytes, found 24')
  })

  it('refuses what is no shape and no range', async () => {
    const shape = 'tensor a: shape [2,-3] is not a list of sizes'
    await expectInvalidHeader(a({ shape: [2, -3] }), 24, shape)
    const backward = 'tensor a: data_offsets [24,0] is not a range'
    await expectInvalidHeader(a({ data_offsets: [24, 0] }), 24, backward)
    const three = 'tensor a: data_offsets [0,12,24] is not a range'
    await expectInvalidHeader(a({ data_offsets: [0, 12, 24] }), 24, three)
    const parts = 'tensor a: expected dtype, shape and data_offsets'
    await expectInvalidHeader(a({ dtype: undefined }), 24, parts)
    await expectInvalidHeader({ a: 3 }, 24, parts)
  })

  it('refuses tensors that overlap', async () => {
    const overlapping = { ...a({}), b: { ...F32, data_offsets: [20, 44] } }
    const message = 'tensor b: starts at byte 20 of the data, inside tensor a'
    await expectInvalidHeader(overlapping, 44, message)
  })

  it('refuses bytes that belong to no tensor', async () => {
    const gap = { ...a({}), b: { ...F32, data_offsets: [28, 52] } }
    const between = 'tensor b: starts at byte 28 of the data, leaving 4 bytes after tensor a unused'
    await expectInvalidHeader(gap, 52, between)
    await expectInvalidHeader(a({}), 30, '6 bytes after tensor a belong to no tensor')
  })

  it('refuses a name that comes twice', async () => {
    const entry = (begin: number) =>
      `"a":${JSON.stringify({ ...F32, data_offsets: [begin, begin + 24] })}`
    writeRawSafetensors(file, `{${entry(0)},${entry(24)}}`, 48)
    await expectInvalid(
      'tensor a: starts at byte 24 of the data, leaving 24 bytes after the header unused',
    )
  })
})
