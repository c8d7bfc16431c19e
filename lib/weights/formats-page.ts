import { readableTypes } from './ggml-types.js'
import { ggufArchitectures } from './gguf-architectures.js'
import { preferredTags } from './gguf-choice.js'

/** What the packed codes of a checkpoint are multiplied as: a row of the table of formats. */
const METHODS: readonly (readonly [string, string, string])[] = [
  [
    'GPTQ',
    '4 and 8 bits, groups or rows, any order of columns, versions 1 and 2, rules for modules',
    'exactly',
  ],
  ['AWQ', '4 bits, gemm', 'exactly'],
  [
    'compressed-tensors',
    'pack-quantized 4 and 8 bits in any order of columns, int-quantized 8 bits',
    'exactly',
  ],
  ['compressed-tensors', 'float-quantized: tensor, channel, block', 'as codes of 8 bits'],
  ['fp8, fbgemm_fp8', 'e4m3: tensor, row, square blocks', 'as codes of 8 bits'],
  ['bitsandbytes', '8 bits', 'exactly'],
  ['bitsandbytes', 'nf4 and fp4, nested scales too', 'levels of 14 bits'],
  ['torchao', 'Int4Tensor, Int8Tensor, IntxUnpackedToInt8Tensor', 'exactly'],
  ['torchao', 'Float8Tensor', 'as codes of 8 bits'],
  ['mxfp4', "GPT-OSS' experts", 'exactly'],
  ['GGUF', listed(readableTypes), 'exactly'],
]

/** The part of docs/models.md on checkpoint formats. */
export function formatsSection(): string {
  const rows = [['Format', 'Of it', 'Weights are computed with'], ...METHODS]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`
  const ruler = line(widths.map((width) => '-'.repeat(width)))
  const [head, ...body] = rows.map(line)
  return [HEAD, head, ruler, ...body, '', FOOT].join('\n')
}

function listed(names: readonly string[]): string {
  return names.join(', ')
}

const HEAD = `
## Checkpoint formats

Safetensors in bfloat16, float16 and float32, one file or several with an index, and these quantised ones, mixtures of
experts too:
`

const FOOT = `Activations become codes of 8 bits, a scale for every group of columns: that error, at most 1/254 of a group's
largest activation, all of them have. In tiny models of two layers it moves the worst log-probability by 0.008 to
0.029 of the row's range (test/34). Floats of 8 bits are off by at most 1/254 of their group's largest weight beside
it, nf4's levels by 1/8192. Matrices of latent attention's heads become plain numbers.

GGUF files of these architectures are loaded, with the tokenizer and the template that they hold:
${ggufArchitectures.map((name) => `\`${name}\``).join(', ')}.

Of a Hugging Face repository or a folder that holds several GGUF files and none is named, the first of these is
taken ([loading.md](loading.md#gguf-repositories)): ${listed(preferredTags)}.
`
