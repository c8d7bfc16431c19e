import fc from 'fast-check'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EngineError } from '../../lib/errors.js'
import { LLMEngine } from '../../lib/index.js'
import { ggufTokenizer } from '../../lib/text/gguf-tokenizer.js'
import { Tokenizer } from '../../lib/text/tokenizer.js'
import { readGguf } from '../../lib/weights/gguf.js'
import { temporaryFolder } from './files.js'
import { ggufFile } from './gguf.js'
import { EXACT, FIXTURES } from './models.js'

/** Changes to a file's bytes: some overwritten, a stretch cut out, doubled, or the end cut off. */
export type Mutation =
  | { readonly kind: 'overwrite'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: 'remove'; readonly at: number; readonly length: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly at: number }

/** Places are parts of the first `within` bytes: headers matter more than data. */
export function mutations(within: number): fc.Arbitrary<readonly Mutation[]> {
  const at = fc.nat(Math.max(0, within - 1))
  const length = fc.integer({ min: 1, max: 64 })
  const small = fc.uint8Array({ minLength: 1, maxLength: 8 })
  const extreme = fc.constantFrom(
    Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 127]),
    Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 128]),
    new Uint8Array(8),
    Buffer.from('null'),
    Buffer.from('-1'),
    Buffer.from('1e308'),
    Buffer.from('9'.repeat(20)),
  )
  const one = fc.oneof(
    fc.record({ kind: fc.constant('overwrite' as const), at, bytes: fc.oneof(small, extreme) }),
    fc.record({ kind: fc.constant('remove' as const), at, length }),
    fc.record({ kind: fc.constant('repeat' as const), at, length }),
    fc.record({ kind: fc.constant('truncate' as const), at }),
  )
  return fc.array(one, { minLength: 1, maxLength: 3 })
}

export function mutate(bytes: Buffer, changes: readonly Mutation[]): Buffer {
  return changes.reduce(apply, Buffer.from(bytes))
}

function apply(bytes: Buffer, change: Mutation): Buffer {
  const { at } = change
  switch (change.kind) {
    case 'overwrite':
      return Buffer.concat([
        bytes.subarray(0, at),
        change.bytes,
        bytes.subarray(at + change.bytes.length),
      ])
    case 'remove':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + change.length)])
    case 'repeat':
      return Buffer.concat([bytes.subarray(0, at + change.length), bytes.subarray(at)])
    case 'truncate':
      return bytes.subarray(0, at)
    default:
      return change satisfies never
  }
}

/** A file that is broken, and what is done with it then. */
export interface FuzzTarget {
  readonly name: string
  readonly bytes: Buffer
  /** Bytes from the start in which changes begin. */
  readonly within: number
  /** Must work or throw an EngineError. */
  use(bytes: Buffer): Promise<void>
}

const OPTIONS = {
  ...EXACT,
  skipTokenizerInit: true,
  maxModelLen: 32,
  maxNumSeqs: 1,
  maxNumBatchedTokens: 32,
  threads: 1,
}

/** Loads a model and draws two tokens. */
async function run(model: string): Promise<void> {
  const engine = await LLMEngine.load(model, OPTIONS)
  try {
    await engine.generate({ promptTokenIds: [1, 2] }, { maxTokens: 2, temperature: 0 })
    engine.checkIntegrity()
  } finally {
    await engine.close()
  }
}

/** A file of a copied folder is replaced, and the folder loaded. */
function inFolder(fixture: string, file: string, within?: number): FuzzTarget {
  const folder = temporaryFolder()
  cpSync(join(FIXTURES, fixture), folder, { recursive: true })
  const path = join(folder, file)
  const bytes = readFileSync(path)
  return {
    name: `${file} of ${fixture}`,
    bytes,
    within: within ?? bytes.length,
    async use(changed) {
      writeFileSync(path, changed)
      await run(folder)
    },
  }
}

function ggufTarget(name: string, within: number): FuzzTarget {
  const path = join(temporaryFolder(), 'model.gguf')
  const bytes = readFileSync(join(FIXTURES, `gguf/${name}.gguf`))
  return {
    name: `the GGUF file ${name}`,
    ...{ bytes, within },
    async use(changed) {
      writeFileSync(path, changed)
      await run(path)
    },
  }
}

/** A GGUF file of a tokenizer alone. */
function ggufTokenizerTarget(): FuzzTarget {
  const path = join(temporaryFolder(), 'model.gguf')
  const bytes = ggufFile(
    {
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', '\u2581', 'a', 'b', 'ab', '<0x0A>'],
      'tokenizer.ggml.scores': [0, 0, 0, -1, -2, -3, -1.5, 0],
      'tokenizer.ggml.token_type': [2, 3, 3, 1, 1, 1, 1, 6],
      'tokenizer.ggml.bos_token_id': 1,
    },
    [],
  )
  return {
    name: "a GGUF file's tokenizer",
    bytes,
    within: bytes.length,
    async use(changed) {
      writeFileSync(path, changed)
      const { tokenizerJson, config } = ggufTokenizer(await readGguf(path))
      await encode(new Tokenizer(tokenizerJson, config))
    },
  }
}

function tokenizerTarget(kind: string): FuzzTarget {
  const bytes = readFileSync(join(FIXTURES, `tokenizers/${kind}/tokenizer.json`))
  return {
    name: `tokenizer.json of ${kind}`,
    bytes,
    within: bytes.length,
    use: (changed) => encode(new Tokenizer(changed.toString())),
  }
}

async function encode(tokenizer: Tokenizer): Promise<void> {
  tokenizer.decode(tokenizer.encode('ab a\n\u00e9'))
  await tokenizer.close()
}

export function fuzzTargets(): readonly FuzzTarget[] {
  return [
    inFolder('models/llama-tied-gqa1', 'config.json'),
    inFolder('models/llama-tied-gqa1', 'model.safetensors', 1600),
    inFolder('quantised/gptq', 'config.json'),
    inFolder('quantised/mixtral-gptq', 'config.json'),
    inFolder('quantised/deepseek-fp8', 'config.json'),
    inFolder('quantised/bnb-nf4', 'model.safetensors', 12_000),
    inFolder('quantised/torchao-int4', 'model.safetensors', 8_000),
    ggufTarget('llama-BF16', 2048),
    ggufTarget('mixtral-Q8_0', 3072),
    ggufTokenizerTarget(),
    tokenizerTarget('llama2'),
    tokenizerTarget('gpt2'),
  ]
}

/** So many broken files: each works or is refused by an EngineError with a message in one line. */
export async function fuzz(target: FuzzTarget, numRuns: number): Promise<void> {
  await target.use(target.bytes) // Else every file would be refused, for another reason.
  const check = async (changes: readonly Mutation[]) => {
    try {
      await target.use(mutate(target.bytes, changes))
    } catch (error) {
      if (!(error instanceof EngineError) || error.message === '') throw error
    }
  }
  await fc.assert(fc.asyncProperty(mutations(target.within), check), { numRuns })
}
