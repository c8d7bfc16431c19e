// npm run bench:lora -- [--model models/smollm2] [--rounds 5] [--quantization int4] [--rank 16] [--cases prompt,1,8,32]
// What adapters (LoRA) on every projection cost: tokens a second without enableLora, and with it where no request, all
// requests or each request has an adapter of its own, in turns and each in a new process. A case is a number of
// sequences that decode, or a prompt of 1,024 tokens. Prints medians, as shares of the first.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { LLMEngine } from 'octavo'
import { readSafetensors } from '../dist/weights/safetensors.js'
import { outputOf } from './checkout.mjs'
import { median } from './statistics.mjs'
import { inTurns } from './turns.mjs'

const MODES = ['off', 'unused', 'one', 'each']
const PROMPT = 1024
const TOKENS = 64
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: 'models/smollm2' },
    rounds: { type: 'string', default: '5' },
    quantization: { type: 'string', default: 'none' },
    rank: { type: 'string', default: '16' },
    cases: { type: 'string', default: 'prompt,1,8,32' },
  },
})

/** One run, in a process of its own. */
async function measure(name, mode, folder) {
  const sequences = name === 'prompt' ? 1 : Number(name)
  const engine = await LLMEngine.load(options.model, {
    ...{ quantization: options.quantization, maxModelLen: 2048 },
    ...{ enablePrefixCaching: false, log: false },
    ...(mode !== 'off' && { enableLora: true, maxLoras: 32, maxLoraRank: Number(options.rank) }),
  })
  const prompts = Array.from({ length: sequences }, (_, i) => ({
    promptTokenIds: Array.from({ length: name === 'prompt' ? PROMPT : 16 }, (_, t) => 100 + t + i),
    ...(mode === 'one' && { loraRequest: { loraName: 'one', loraPath: join(folder, '0') } }),
    ...(mode === 'each' && { loraRequest: { loraName: `${i}`, loraPath: join(folder, `${i}`) } }),
  }))
  const maxTokens = name === 'prompt' ? 1 : TOKENS
  const generate = () => engine.generate(prompts, { maxTokens, temperature: 0, ignoreEos: true })
  await generate() // adapters are loaded
  const before = engine.stats()
  await generate()
  const after = engine.stats()
  await engine.close()
  const seconds = after.computeSeconds - before.computeSeconds
  return (name === 'prompt' ? PROMPT : sequences * TOKENS) / seconds
}

/** Adapters of made-up numbers in bfloat16, in folders 0, 1, … */
async function makeAdapters(folder, count) {
  const rank = Number(options.rank)
  const file = safetensors(await pairs(rank))
  const config = { peft_type: 'LORA', r: rank, lora_alpha: rank, target_modules: 'all-linear' }
  for (let i = 0; i < count; i++) {
    const place = join(folder, `${i}`)
    mkdirSync(place)
    writeFileSync(join(place, 'adapter_config.json'), JSON.stringify(config))
    writeFileSync(join(place, 'adapter_model.safetensors'), file)
  }
}

/** Names and shapes of an adapter's matrices, by those of the model's projections. */
async function pairs(rank) {
  const { tensors } = await readSafetensors(join(options.model, 'model.safetensors'))
  return tensors.flatMap(({ name, shape }) => {
    const module = /^(.*_proj)\.weight$/.exec(name)?.[1]
    if (!module) return []
    const prefix = `base_model.model.${module}`
    return [
      [`${prefix}.lora_A.weight`, [rank, shape[1]]],
      [`${prefix}.lora_B.weight`, [shape[0], rank]],
    ]
  })
}

function safetensors(tensors) {
  const header = {}
  let at = 0
  for (const [name, shape] of tensors) {
    const end = at + 2 * shape[0] * shape[1]
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, end] }
    at = end
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  // Small numbers of either sign: 0.0078125 × (1 + k / 128).
  const numbers = Uint16Array.from(
    { length: at / 2 },
    (_, i) => 0x3c00 | (i % 127) | ((i % 2) << 15),
  )
  return Buffer.concat([length, text, Buffer.from(numbers.buffer)])
}

async function report() {
  const program = [fileURLToPath(import.meta.url), ...process.argv.slice(2)]
  const folder = mkdtempSync(join(tmpdir(), 'octavo-bench-lora-'))
  const cases = options.cases.split(',')
  await makeAdapters(
    folder,
    Math.max(...cases.map((name) => (name === 'prompt' ? 1 : Number(name)))),
  )
  console.log(['case', `${MODES[0]} (tokens/s)`, ...MODES.slice(1)].join('\t'))
  for (const name of cases) {
    const runs = inTurns(MODES, Number(options.rounds), (mode) =>
      Number(outputOf(process.execPath, [...program, name, mode, folder])),
    )
    const [off, ...others] = MODES.map((mode) => median(runs[mode]))
    console.log([name, off.toFixed(1), ...others.map((rate) => (rate / off).toFixed(2))].join('\t'))
  }
  rmSync(folder, { recursive: true })
}

if (positionals.length === 0) await report()
else console.log(await measure(...positionals))
