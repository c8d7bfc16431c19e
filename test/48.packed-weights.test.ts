import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { LLMEngine, type EngineOptions } from '../lib/index.js'
import { loadAddon } from '../lib/native/addon.js'
import { attempt } from './support/commands.js'
import { temporaryFolder } from './support/files.js'
import { FIXTURES } from './support/models.js'
import { octavo, startOctavo } from './support/octavo.js'
import { runs } from './support/runs.js'
import { Events, toyEngine, toyPlan } from './support/toy.js'

const SMALL = join(FIXTURES, 'quantised/gptq-v2-act')
const PROMPTS = [
  [1, 2, 3, 4, 5],
  [9, 8, 7],
].map((promptTokenIds) => ({ promptTokenIds }))

/** What a model says, to the last bit, and what its load told. */
async function runModel(model: string, options: EngineOptions) {
  const notices: string[] = []
  const engine = await LLMEngine.load(model, {
    ...{ device: 'cpu', skipTokenizerInit: true, numGpuBlocksOverride: 8, maxNumSeqs: 4 },
    ...{ log: (line: string) => notices.push(line) },
    ...options,
  })
  const outputs = await engine.generate(PROMPTS, { maxTokens: 6, temperature: 0, logprobs: 5 })
  await engine.close()
  const said = outputs.map(({ outputs: [output] }) => [output!.tokenIds, output!.logprobs])
  return { said, notices: notices.filter((line) => !line.startsWith('maxModelLen')) }
}

/** A cache of one file, and how to read the model from it. */
async function packed(model = SMALL, options: EngineOptions = {}) {
  const folder = temporaryFolder()
  const load = () => runModel(model, { ...options, packedWeightsCache: folder })
  const first = await load()
  const names = readdirSync(folder)
  expect(names).toHaveLength(1)
  return { folder, file: join(folder, names[0]!), load, first }
}

const inode = (file: string) => statSync(file, { bigint: true }).ino

describe('weights from the file are the ones that were packed', () => {
  const models = [
    ...['gptq', 'gptq-v2-act', 'gptq8-row', 'bnb-nf4', 'ct-mixed', 'gpt-oss-mxfp4'].map(
      (name) => [`quantised/${name}`, {}] as const,
    ),
    ...['mixtral', 'deepseek-v3', 'lfm2', 'gpt2'].map((name) => [`models/${name}`, {}] as const),
    ['models/llama', { quantization: 'int8' }] as const,
    ['models/llama', { quantization: 'int4' }] as const,
    ['models/llama', { dtype: 'bfloat16' }] as const,
    ['models/llama', { dtype: 'float16' }] as const,
    ['models/mixtral', { matmulPrecision: 'int16' }] as const,
  ]
  test.each<readonly [string, EngineOptions]>(models)('%s %j', async (name, options) => {
    const model = join(FIXTURES, name)
    const plain = await runModel(model, options)
    const { file, load, first } = await packed(model, options)
    const written = inode(file)
    expect(first).toEqual(plain)
    expect(await load()).toEqual(plain)
    expect(inode(file)).toBe(written) // it was not written again
  })

  const precisions = ['bfloat16', 'int16'] as const
  test.each(precisions)('whatever instruction set writes or reads it: %s', async (precision) => {
    const form: EngineOptions = { matmulPrecision: precision }
    const { folder, first } = await packed(SMALL, { ...form, isa: 'portable' })
    for (const isa of loadAddon().instructionSets as readonly NonNullable<EngineOptions['isa']>[]) {
      const plain = await runModel(SMALL, { ...form, isa })
      expect(await runModel(SMALL, { ...form, isa, packedWeightsCache: folder })).toEqual(plain)
    }
    expect(first.notices).toEqual([])
    expect(readdirSync(folder)).toHaveLength(1)
  })

  test('of other types, in files of their own', async () => {
    const folder = temporaryFolder()
    const model = join(FIXTURES, 'models/llama')
    const forms: EngineOptions[] = [{}, { dtype: 'float16' }, { quantization: 'int8' }]
    for (const form of [...forms, ...forms])
      expect((await runModel(model, { ...form, packedWeightsCache: folder })).notices).toEqual([])
    expect(readdirSync(folder)).toHaveLength(3)
  })
})

/** Of the weights behind the header, by kPackedLayout. Where bytes change, raise it (csrc/cpu/packed_weight.h) and set these anew. */
const LAYOUT = 1
const DIGESTS = [
  ['quantised/gptq-v2-act', 'bfloat16', '75592513c6057a38'],
  ['quantised/bnb-nf4', 'bfloat16', '5182d78c8569af92'],
  ['models/llama', 'bfloat16', 'd5f63066821ec7ec'],
  ['models/llama', 'int16', 'de27c72584e2ff3b'],
] as const

test.each(DIGESTS)(
  'the bytes of a layout stay as they are: %s, %s',
  async (name, matmulPrecision, digest) => {
    const { file } = await packed(join(FIXTURES, name), { matmulPrecision })
    const bytes = readFileSync(file)
    const weights = bytes.subarray(
      Math.ceil((48 + Number(bytes.readBigUInt64LE(32))) / 4096) * 4096,
    )
    const found = createHash('sha256').update(weights).digest('hex').slice(0, 16)
    expect([bytes.readUInt32LE(24), found]).toEqual([LAYOUT, digest])
  },
)

describe('a file that does not serve is told of and packed anew', () => {
  /** Spoils the file, loads twice. */
  async function expectAnew(reason: string | RegExp, spoil: (file: string) => void) {
    const { file, load, first } = await packed()
    const good = readFileSync(file)
    spoil(file)
    const { said, notices } = await load()
    expect(said).toEqual(first.said)
    expect(notices).toEqual([expect.stringContaining(`packed weights ${file}: `)])
    expect(notices[0]).toMatch(reason)
    expect(notices[0]).toMatch(/; weights are packed anew$/)
    expect(readFileSync(file).equals(good)).toBe(true)
    expect(await load()).toEqual(first)
  }
  const change =
    (at: number, ...bytes: number[]) =>
    (file: string) => {
      const all = readFileSync(file)
      all.set(bytes, at < 0 ? all.length + at : at)
      writeFileSync(file, all)
    }
  const cut = (length: number) => (file: string) => {
    const all = readFileSync(file)
    writeFileSync(file, all.subarray(0, length < 0 ? all.length + length : length))
  }

  test.each<[string, string | RegExp, (file: string) => void]>([
    ['nothing in it', 'it is no file of packed weights', cut(0)],
    ['less than a front', 'it is no file of packed weights', cut(47)],
    ['another kind of file', 'it is no file of packed weights', change(0, 0x7f)],
    ['an older layout', 'it is packed in layout 0, this build packs in layout 1', change(24, 0)],
    ['the other byte order', 'it is packed in layout 16777216, this', change(24, 0, 0, 0, 1)],
    ['a header of another length', 'its header is damaged', change(32, 1)],
    ['a header beyond the end', 'it is cut off', change(39, 0x7f)],
    ['another header', 'its header is damaged', change(100, 0xff)],
    ['the header alone', 'it is cut off', cut(4096)],
    ['its last byte missing', 'it is cut off', cut(-1)],
    ['another last byte', /weight '.*' is damaged/, change(-1, 0xff)],
  ])('%s', async (_, reason, spoil) => expectAnew(reason, spoil))

  test('a model that has changed', async () => {
    const model = temporaryFolder()
    cpSync(SMALL, model, { recursive: true })
    const { load, file, first } = await packed(model)
    utimesSync(join(model, 'model.safetensors'), 1, 1)
    const reason = 'it was made of other files, or by another version of Octavo'
    const notices = [`packed weights ${file}: ${reason}; weights are packed anew`]
    expect(await load()).toEqual({ ...first, notices })
    expect(await load()).toEqual(first)
  })

  test('any byte of it changed, or cut off anywhere', async () => {
    const { file, load, first } = await packed()
    const good = readFileSync(file)
    const spoiled = fc.record({
      at: fc.nat(good.length - 1),
      bits: fc.integer({ min: 1, max: 255 }),
      cuts: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(spoiled, async ({ at, bits, cuts }) => {
        const bytes = Buffer.from(good)
        bytes[at]! ^= bits
        writeFileSync(file, cuts ? good.subarray(0, at) : bytes)
        const { said, notices } = await load()
        expect(said).toEqual(first.said)
        // Nothing reads what fills up pages, nor what is reserved; the file may stay as it is then.
        if (cuts) expect(notices).toHaveLength(1)
        if (notices.length > 0) expect(readFileSync(file).equals(good)).toBe(true)
      }),
      { numRuns: runs(40) },
    )
  })

  test('a header changed anywhere, its checksum set right', async () => {
    const { file, load, first } = await packed()
    const good = readFileSync(file)
    const length = Number(good.readBigUInt64LE(32))
    expect(sumOf(good.subarray(48, 48 + length))).toBe(good.readBigUInt64LE(40))
    await fc.assert(
      fc.asyncProperty(fc.nat(length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const bytes = Buffer.from(good)
        bytes[48 + at]! ^= bits
        bytes.writeBigUInt64LE(sumOf(bytes.subarray(48, 48 + length)), 40)
        writeFileSync(file, bytes)
        expect((await load()).said).toEqual(first.said)
      }),
      { numRuns: runs(40) },
    )
  })
})

describe('where nothing can be kept, the engine is loaded all the same', () => {
  test('the folder is a file', async () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, '')
    const { said, notices } = await runModel(SMALL, { packedWeightsCache: file })
    expect(said).toEqual((await runModel(SMALL, {})).said)
    expect(notices).toEqual([
      expect.stringMatching(/^packedWeightsCache: nothing is kept: EEXIST: .*file/),
    ])
  })

  test('a folder stands in its place', async () => {
    const { folder, file } = await packed()
    const other = temporaryFolder()
    mkdirSync(file.replace(folder, other))
    const { notices } = await runModel(SMALL, { packedWeightsCache: other })
    expect(notices).toEqual([
      expect.stringMatching(/: cannot open .*; weights are packed anew$/),
      expect.stringMatching(
        /: it cannot be written: Is a directory; the next load packs them again$/,
      ),
    ])
    expect(readdirSync(other)).toHaveLength(1) // and no part of a file
  })

  test.runIf(process.platform === 'linux')('the disk is full', () => {
    const folder = temporaryFolder()
    const program = `
      import { LLMEngine } from './dist/index.js'
      const engine = await LLMEngine.load('demo', { packedWeightsCache: '${folder}' })
      const [{ outputs }] = await engine.generate(['Once'], { maxTokens: 3, temperature: 0 })
      console.log(outputs[0].tokenIds.length)
      await engine.close()`
    const node = `ulimit -f 100; exec ${process.execPath} --input-type=module -e "$0"`
    const { stdout, stderr, status } = attempt('bash', ['-c', node, program])
    expect(stderr).toMatch(
      /it cannot be written: File too large; the next load packs them again\n$/,
    )
    expect({ stdout, status }).toEqual({ stdout: '3\n', status: 0 })
    expect(readdirSync(folder)).toEqual([])
  })
})

test('many loads at once leave one whole file', async () => {
  const folder = temporaryFolder()
  const all = await Promise.all(
    Array.from({ length: 6 }, () => runModel(SMALL, { packedWeightsCache: folder })),
  )
  for (const each of all) expect(each).toEqual(all[0])
  expect(all[0]!.notices).toEqual([])
  expect(readdirSync(folder)).toHaveLength(1)
  expect(await runModel(SMALL, { packedWeightsCache: folder })).toEqual(all[0])
})

test('so do processes', async () => {
  const folder = temporaryFolder()
  const args = ['generate', '--max-tokens', '4', '--temperature', '0', 'Once', '-m', 'demo']
  const one = () => startOctavo([...args, '--packed-weights-cache', folder])
  const outputs = await Promise.all([one(), one(), one()].map(({ stdout }) => text(stdout!)))
  expect(outputs).toEqual(new Array(3).fill(octavo(args).stdout))
  expect(readdirSync(folder)).toHaveLength(1)
})

describe('of files that are half-written', () => {
  const HALF = 'another-model.packed.123456.tmp'
  function folderWith(...names: string[]): string {
    const folder = temporaryFolder()
    for (const name of names) writeFileSync(join(folder, name), 'half')
    return folder
  }

  test('those of killed processes are removed, and others left alone', async () => {
    const others = ['notes.tmp', 'a.packed', 'a.safetensors.1.tmp']
    const folder = folderWith(HALF, ...others)
    expect((await runModel(SMALL, { packedWeightsCache: folder })).notices).toEqual([])
    const names = readdirSync(folder)
    expect(names).toEqual(expect.arrayContaining(others))
    expect(names).toHaveLength(others.length + 1)
  })

  test.runIf(process.platform === 'linux')('those that somebody writes are kept', async () => {
    const folder = folderWith(HALF)
    const writer = spawn('flock', [join(folder, HALF), 'sh', '-c', 'echo locked; read line'])
    onTestFinished(() => void writer.kill())
    await once(writer.stdout, 'data')
    await runModel(SMALL, { packedWeightsCache: folder })
    expect(readdirSync(folder)).toContain(HALF)
    writer.stdin.end('\n')
    await once(writer, 'close')
    await runModel(SMALL, { packedWeightsCache: folder, quantization: 'int8' })
    expect(readdirSync(folder)).not.toContain(HALF)
  })
})

test('an engine that is disposed while it loads leaves no part of a file', async () => {
  const folder = temporaryFolder()
  const file = { path: join(folder, 'weights.packed'), source: 'none' }
  for (const delay of [0, 1, 5, 20, 60]) {
    const engine = toyEngine(loadAddon(), new Events())
    const loading = engine.load(toyPlan({ width: 512, layers: 4 }), { seed: 1 }, null, file)
    const ended = loading.catch((error: unknown) => (error as Error).message)
    await setTimeout(delay)
    await engine.dispose()
    const loaded = expect.objectContaining({ notices: [] }) as object
    expect([loaded, 'the engine was disposed']).toContainEqual(await ended)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  }
})

test('the command has a flag for it', () => {
  const folder = join(temporaryFolder(), 'made', 'on the way')
  const flags = ['generate', '--max-tokens', '4', '--temperature', '0', 'Once', '-m', 'demo']
  const first = octavo([...flags, '--packed-weights-cache', folder])
  expect(readdirSync(folder)).toEqual([expect.stringMatching(/^demo-[0-9a-f]{16}\.packed$/)])
  const second = octavo([...flags, '--packed-weights-cache', folder])
  const { stdout } = octavo(flags)
  expect([first, second]).toMatchObject([
    { status: 0, stdout },
    { status: 0, stdout },
  ])
})

/** The checksum of csrc/cpu/packed_file.cc. */
function sumOf(bytes: Uint8Array): bigint {
  const whole = (value: bigint) => BigInt.asUintN(64, value)
  const odd = 0x9e3779b97f4a7c15n
  const padded = Buffer.alloc((Math.floor(bytes.length / 64) + 1) * 64)
  padded.set(bytes)
  const lanes = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]
  for (let at = 0; at < padded.length; at += 8) {
    const lane = (at / 8) % 8
    const product = whole((lanes[lane]! ^ padded.readBigUInt64LE(at)) * odd)
    lanes[lane] = whole((product << 29n) | (product >> 35n))
  }
  return lanes.reduce((sum, lane) => {
    const product = whole((sum ^ lane) * odd)
    return product ^ (product >> 32n)
  }, BigInt(bytes.length))
}
