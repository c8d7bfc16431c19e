import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { root } from '../support/commands.js'

const folder = process.env.OCTAVO_SMOLLM2_HF ?? join(root, 'models/smollm2')
const weights = join(folder, 'model.safetensors')

// The digest of the file that an independent converter made of the same GGUF.
const EXPECTED = '7ef915c9bf9d94d8d70211970476878352a5b95855c589ae987916d7a455242b'

test.skipIf(!existsSync(weights))(
  'SmolLM2 as scripts/smollm2.mjs writes it is bit for bit the model of the references',
  async () => {
    const hash = createHash('sha256')
    await pipeline(createReadStream(weights), hash)
    expect(hash.digest('hex')).toBe(EXPECTED)
  },
)
