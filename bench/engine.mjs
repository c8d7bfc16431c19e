// Whole-engine speed: node bench/engine.mjs [MODEL] [CASE...] [--OPTION=VALUE...]
// Cases: single (64 tokens in, 192 out) · prefill (1,024 in, 1 out) · batch:N (N sequences of 64 in,
// 128 out at once). One JSON line a case. Prompts are token ids made from a number, the same for every
// engine that is compared; drawing is greedy and nothing ends early.
import { LLMEngine } from '../dist/index.js'

const args = process.argv.slice(2)
const options = Object.fromEntries(
  args.filter((arg) => arg.startsWith('--')).map((arg) => arg.slice(2).split('=')),
)
const [model = 'models/smollm2', ...cases] = args.filter((arg) => !arg.startsWith('--'))
if (cases.length === 0) cases.push('single', 'prefill', 'batch:8', 'batch:32')
if (options.threads !== undefined) options.threads = Number(options.threads)

const engine = await LLMEngine.load(model, {
  maxModelLen: 2048,
  enablePrefixCaching: false,
  skipTokenizerInit: true,
  log: false,
  ...options,
})
const prompt = (length, seed) => ({
  promptTokenIds: Array.from(
    { length },
    (_, i) => 1000 + ((i * 7919 + seed * 104_729) % (vocabulary - 1001)),
  ),
})
const vocabulary = model === 'demo' ? 1536 : 41_001
await engine.generate(prompt(8, 0), { maxTokens: 4 })

for (const name of cases) {
  const [kind, count = 1] = name.split(':')
  const [inputLength, maxTokens] = { single: [64, 192], prefill: [1024, 1], batch: [64, 128] }[kind]
  const prompts = Array.from({ length: Number(count) }, (_, i) => prompt(inputLength, i + 1))
  const began = performance.now()
  const outputs = await engine.generate(prompts, { maxTokens, temperature: 0, ignoreEos: true })
  const seconds = (performance.now() - began) / 1000
  const made = outputs.reduce((sum, { outputs: [output] }) => sum + output.tokenIds.length, 0)
  const first = outputs.map(({ metrics }) => metrics.firstTokenTime - metrics.arrivalTime)
  console.log(
    JSON.stringify({
      case: name,
      device: engine.device,
      seconds: Number(seconds.toFixed(3)),
      tokensPerSecond: Number((made / seconds).toFixed(1)),
      ...(kind === 'prefill' && {
        promptTokensPerSecond: Number((inputLength / seconds).toFixed(1)),
      }),
      firstTokenMs: first.reduce((sum, ms) => sum + ms, 0) / first.length,
    }),
  )
}
await engine.close()
