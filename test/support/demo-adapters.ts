import { mkdirSync, writeFileSync } from 'node:fs'
import { pair } from './adapters.js'
import { writeSafetensors, type TensorToWrite } from './files.js'
import { roundedNumbers } from './made-numbers.js'

const LAYERS = 5
const HIDDEN = 128

/** Writes an adapter of models/demo, strong enough to change what it says: another one for each seed. */
export function writeDemoAdapter(folder: string, seed: number, rank = 4): string {
  mkdirSync(folder, { recursive: true })
  const config = { peft_type: 'LORA', r: rank, lora_alpha: 4 * rank }
  writeFileSync(`${folder}/adapter_config.json`, JSON.stringify(config))
  const modules = Array.from({ length: LAYERS }, (_, layer) =>
    pair(`model.layers.${layer}.self_attn.o_proj`, [HIDDEN, HIDDEN], { rank }),
  )
  const zeros = Object.entries(Object.assign({}, ...modules) as Record<string, TensorToWrite>)
  const tensors = zeros.map(([name, { dtype, shape }], i) => {
    const numbers = roundedNumbers('float32', shape[0]! * shape[1]!, {
      ...{ seed: 1000 * seed + i, deviation: 0.3 },
    })
    return [name, { dtype, shape, bytes: new Uint8Array(Float32Array.from(numbers).buffer) }]
  })
  writeSafetensors(
    `${folder}/adapter_model.safetensors`,
    Object.fromEntries(tensors) as Record<string, TensorToWrite>,
  )
  return folder
}
