import { modelFamilies } from './registry.js'
import { architecturesWithText } from './text-part.js'

/** The text of docs/models.md, which `node scripts/models-doc.mjs` writes. */
export function modelsPage(): string {
  const rows = [...modelFamilies]
    .sort((a, b) => a.title.localeCompare(b.title, 'en'))
    .map(({ title, architectures }) => [title, architectures.map(code).join(', ')] as const)
  const width = (column: 0 | 1, head: string) =>
    Math.max(head.length, ...rows.map((row) => row[column].length))
  const widths = [width(0, 'Models'), width(1, 'Architectures')] as const
  const line = (cells: readonly [string, string]) =>
    `| ${cells[0].padEnd(widths[0])} | ${cells[1].padEnd(widths[1])} |`
  const ruler = `| ${'-'.repeat(widths[0])} | ${'-'.repeat(widths[1])} |`
  return [HEAD, line(['Models', 'Architectures']), ruler, ...rows.map(line), FOOT].join('\n')
}

function code(name: string): string {
  return `\`${name}\``
}

const HEAD = `# Models

Octavo loads a model by the first of its config.json's \`architectures\`. This page is written from the
registry by \`node scripts/models-doc.mjs\`; a test fails where it is not fresh.
`

const FOOT = `
Of models that see pictures too the text part is loaded, for prompts of text: ${architecturesWithText.map(code).join(', ')}.

Each family is one file of lib/models, and is compared with Hugging Face transformers on a tiny random
model: logits at every position, and greedy tokens, alone, together and through the prefix cache.

A config.json that asks for something else gets one line that names the field and its value, such as
\`rope_type "spiral" is not supported\`; a checkpoint with a tensor too many or too few gets one that names
the tensor.
`
