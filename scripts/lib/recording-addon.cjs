// An addon that records: it wraps the real one and writes what its first engine does into the folder
// OCTAVO_RECORDING, for octavo-replay (docs/replay.md). Point OCTAVO_ADDON at this file to use it; another addon than
// that of build/ is named by OCTAVO_RECORDED_ADDON.
const { appendFileSync, mkdirSync, writeFileSync } = require('node:fs')
const { join, relative, resolve } = require('node:path')

const addon = require(process.env.OCTAVO_RECORDED_ADDON ?? '../../build/Release/octavo.node')
const folder = resolve(process.env.OCTAVO_RECORDING ?? 'build/recording')
const path = (name) => join(folder, name)
const STEP = 0
const COPY = 1
const ADAPTER = 3

let recording = null // the engine that is recorded: the first of the process

/** Records the plan that is loaded first and what runs until the engine is disposed. */
class RecordingEngine extends addon.Engine {
  /** Events in the order of submission; a step is complete when it has its result. */
  #events = []
  #adapters = 0

  constructor(options) {
    const engine = {}
    super({
      ...options,
      onResult(ints, floats) {
        engine.self.#complete(ints, floats)
        options.onResult(ints, floats)
      },
    })
    engine.self = this
    if (recording) return
    recording = this
    const { blockSize, numBlocks, hostBlocks } = options
    const pool = `pool blockSize=${blockSize} numBlocks=${numBlocks} hostBlocks=${hostBlocks}`
    mkdirSync(folder, { recursive: true })
    writeFileSync(path('recording.txt'), `octavo-recording 1\n${pool}\n`)
    writeFileSync(path('events.bin'), '')
  }

  load(plan, tensors, ...rest) {
    if (recording === this) {
      writeFileSync(path('plan.txt'), plan)
      appendFileSync(path('recording.txt'), describeTensors(tensors))
    }
    return super.load(plan, tensors, ...rest)
  }

  submit(ints, floats) {
    super.submit(ints, floats)
    this.#events.push({ kind: STEP, arrays: [ints.slice(), floats.slice()] })
  }

  loadAdapter(slot, adapter, tensors) {
    if (recording === this) this.#describeAdapter(adapter, tensors)
    this.#events.push({
      kind: ADAPTER,
      arrays: [Int32Array.of(slot, this.#adapters++)],
      complete: true,
    })
    this.#write()
    return super.loadAdapter(slot, adapter, tensors)
  }

  #describeAdapter(adapter, tensors) {
    const file = `adapter-${this.#adapters}.txt`
    writeFileSync(path(file), adapter)
    appendFileSync(path('recording.txt'), `${describeTensors(tensors)}adapter ${file}\n`)
  }

  copy(copies) {
    this.#events.push({ kind: COPY, arrays: [copies.slice()], complete: true })
    this.#write()
    return super.copy(copies)
  }

  #complete(resultInts, resultFloats) {
    const step = this.#events.find(({ complete }) => !complete)
    step.arrays.push(resultInts, resultFloats)
    step.complete = true
    this.#write()
  }

  #write() {
    while (this.#events[0]?.complete) {
      const { kind, arrays } = this.#events.shift()
      const counts = kind === STEP ? arrays.map(({ length }) => length) : []
      if (kind === COPY) counts.push(arrays[0].length / 5)
      if (recording === this) append(Int32Array.of(kind, ...counts), ...arrays)
    }
  }
}

function describeTensors(tensors) {
  if (!Array.isArray(tensors)) return `dummy seed=${tensors.seed}\n`
  if (tensors.some(({ encoding, pairedHeads }) => encoding || pairedHeads))
    throw new Error('only checkpoints of elements in their order can be recorded')
  const line = ({ name, type, shape, offset, length, file }) =>
    `tensor ${name} ${type} [${shape}] ${offset} ${length} ${relative(folder, resolve(file))}\n`
  return tensors.map(line).join('')
}

function append(...arrays) {
  const bytes = arrays.map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  )
  appendFileSync(path('events.bin'), Buffer.concat(bytes))
}

module.exports = { ...addon, Engine: RecordingEngine }
