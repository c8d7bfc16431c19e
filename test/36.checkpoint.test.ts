import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { PlanBuilder } from '../lib/plan/builder.js'
import type { Plan } from '../lib/plan/ops.js'
import { isCheckpointComplete, matchCheckpoint, readCheckpoint } from '../lib/weights/checkpoint.js'
import { temporaryFolder, writeSafetensors, type TensorToWrite } from './support/files.js'

type Tensors = Record<string, TensorToWrite>

const TABLE: TensorToWrite = { dtype: 'BF16', shape: [8, 4] }
const NORM: TensorToWrite = { dtype: 'F32', shape: [4] }
const GOOD: Tensors = {
  table: TABLE,
  'toy.q.weight': { dtype: 'F16', shape: [3, 4] },
  'toy.k.weight': { dtype: 'F16', shape: [2, 4] },
  norm: NORM,
}

/** A plan that wants the tensors of GOOD. */
function plan(): Plan {
  const types = { weightType: 'bfloat16', cacheType: 'float32' } as const
  const g = new PlanBuilder({ name: 'toy', vocabSize: 8, ...types })
  const x = g.embed('embed', g.matrix({ table: 8 }, 4))
  g.linear('qk', x, g.modules('toy', { q: 3, k: 2 }, { columns: 4, bias: false }))
  g.norm('norm', x, { norm: 'rms', eps: 1, weight: g.vector({ norm: 4 }) })
  return g.build()
}

let folder: string
beforeEach(() => {
  folder = temporaryFolder()
})

const write = (tensors: Tensors, file = 'model.safetensors') =>
  writeSafetensors(join(folder, file), tensors)
const writeIndex = (weight_map: unknown) =>
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map }))

describe('matching a plan with a checkpoint', () => {
  const match = async (tensors: Tensors) => {
    write(tensors)
    return matchCheckpoint(plan(), await readCheckpoint(folder))
  }
  const expectInvalid = (tensors: Tensors, message: string) =>
    expect(match(tensors)).rejects.toMatchObject({ code: 'invalid_file', message })

  it('gives native the place of every source, once, in the order of the plan', async () => {
    const tensors = await match(GOOD)
    expect(tensors.map(({ name, type, shape }) => [name, type, shape])).toEqual([
      ['table', 'bfloat16', [8, 4]],
      ['toy.q.weight', 'float16', [3, 4]],
      ['toy.k.weight', 'float16', [2, 4]],
      ['norm', 'float32', [4]],
    ])
    expect(tensors.map(({ length }) => length)).toEqual([64, 24, 16, 16])
    expect(new Set(tensors.map(({ file }) => file))).toEqual(
      new Set([join(folder, 'model.safetensors')]),
    )
  })

  it('names a missing tensor and the shape that is wanted', async () => {
    const names = ['table', 'toy.q.weight', 'toy.k.weight'] as const
    const others = Object.fromEntries(names.map((name) => [name, GOOD[name]!]))
    await expectInvalid(others, `${folder}: tensor norm [4] is missing`)
  })

  it('names a tensor of the wrong shape, what was expected and what was found', async () => {
    const message = 'model.safetensors: tensor toy.k.weight: expected shape [2, 4], found [4, 2]'
    await expectInvalid({ ...GOOD, 'toy.k.weight': { dtype: 'F16', shape: [4, 2] } }, message)
  })

  it('names an element type that cannot be used', async () => {
    const message =
      'model.safetensors: tensor norm: element type I64 is not usable; usable are F32, F16, BF16'
    await expectInvalid({ ...GOOD, norm: { ...NORM, dtype: 'I64' } }, message)
  })

  it('names tensors that nothing uses', async () => {
    const one = 'model.safetensors: tensor extra [4] is not part of a toy model with this config'
    await expectInvalid({ ...GOOD, extra: NORM }, one)
    const two =
      'model.safetensors: tensor extra [4] and 1 more are not part of a toy model with this config'
    await expectInvalid({ ...GOOD, extra: NORM, more: NORM }, two)
  })

  it('leaves out what exporters add: rotary frequencies, and a copy of a tied head', async () => {
    const known = { 'model.layers.0.self_attn.rotary_emb.inv_freq': NORM, 'lm_head.weight': TABLE }
    expect(await match({ ...GOOD, ...known })).toHaveLength(4)
  })
})

describe('a checkpoint in several files', () => {
  const { table, norm, ...projections } = GOOD
  const MAP = {
    table: 'model-1.safetensors',
    norm: 'model-1.safetensors',
    'toy.q.weight': 'model-2.safetensors',
    'toy.k.weight': 'model-2.safetensors',
  }

  beforeEach(() => {
    write({ table: table!, norm: norm! }, 'model-1.safetensors')
    write(projections, 'model-2.safetensors')
    writeIndex(MAP)
  })

  const expectInvalid = (message: string) =>
    expect(readCheckpoint(folder)).rejects.toMatchObject({ code: 'invalid_file', message })

  it('is read as one', async () => {
    const tensors = matchCheckpoint(plan(), await readCheckpoint(folder))
    expect(tensors.map(({ file }) => file.slice(folder.length + 1))).toEqual([
      'model-1.safetensors',
      'model-2.safetensors',
      'model-2.safetensors',
      'model-1.safetensors',
    ])
    expect(await isCheckpointComplete(folder)).toBe(true)
  })

  it('names a file that is missing', async () => {
    rmSync(join(folder, 'model-2.safetensors'))
    const index = 'model.safetensors.index.json'
    await expectInvalid(`${index}: file model-2.safetensors is missing in ${folder}`)
    expect(await isCheckpointComplete(folder)).toBe(false)
  })

  it('names a tensor that is in two files', async () => {
    write({ ...projections, norm: norm! }, 'model-2.safetensors')
    await expectInvalid('model-2.safetensors: tensor norm is also in model-1.safetensors')
  })

  it('names a tensor that is not where the index says', async () => {
    writeIndex({ ...MAP, norm: 'model-2.safetensors' })
    await expectInvalid('model.safetensors.index.json: tensor norm is not in model-2.safetensors')
  })

  it('refuses an index without a map and one that leads out of the folder', async () => {
    writeIndex(undefined)
    await expectInvalid('model.safetensors.index.json: expected an object weight_map')
    writeIndex({ table: '../model-1.safetensors' })
    await expectInvalid(
      'model.safetensors.index.json: tensor table: "../model-1.safetensors" is not a safetensors file name',
    )
    writeFileSync(join(folder, 'model.safetensors.index.json'), '{')
    await expect(readCheckpoint(folder)).rejects.toThrow('model.safetensors.index.json: not JSON')
  })
})

describe('a folder without safetensors', () => {
  it('says what it looked for, and what is there instead', async () => {
    const looked = `${folder} has neither model.safetensors nor model.safetensors.index.json`
    const code = 'model_not_found'
    await expect(readCheckpoint(folder)).rejects.toMatchObject({ code, message: looked })
    writeFileSync(join(folder, 'pytorch_model.bin'), '')
    const hint = `${looked} (it holds pytorch_model.bin; convert the model to safetensors)`
    await expect(readCheckpoint(folder)).rejects.toMatchObject({ code, message: hint })
  })
})
