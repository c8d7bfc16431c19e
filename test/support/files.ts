import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** An empty folder that is gone when the test has ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A tensor to write: its type and shape, and the elements' bytes (zeros if left out). */
export interface TensorToWrite {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes?: Uint8Array
}

const BYTES: Readonly<Record<string, number>> = {
  ...{ F32: 4, I32: 4, BF16: 2, F16: 2, I64: 8, I8: 1, U8: 1 },
}

/** Writes a well-formed safetensors file. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorToWrite>>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  let end = 0
  const parts: Uint8Array[] = []
  const header = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const size = shape.reduce((product, length) => product * length, BYTES[dtype]!)
    parts.push(bytes ?? new Uint8Array(size))
    const begin = end
    end += size
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const
  })
  const all = { __metadata__: metadata, ...(Object.fromEntries(header) as object) }
  writeRawSafetensors(path, JSON.stringify(all), Buffer.concat(parts))
}

/** Writes a header and data as they are, however wrong. */
export function writeRawSafetensors(
  path: string,
  header: string | object,
  data: Uint8Array | number,
): void {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const bytes = typeof data === 'number' ? Buffer.alloc(data) : data
  writeFileSync(path, Buffer.concat([length, json, bytes]))
}
