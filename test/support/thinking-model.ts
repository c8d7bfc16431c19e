import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const DEMO = resolve('models/demo')
/** Tokens that become marks: one that few texts hold, and what its stories end with behind "The". */
const REPLACED = ['Toy', 'Ġend']

export interface ThinkingModel {
  readonly folder: string
  /** The tokens of the marks. */
  readonly open: number
  readonly close: number
  remove(): void
}

/** What the demonstration model's chats end with; its thoughts begin in the prompt unless it is told otherwise. */
const templateOf = ([open, close]: readonly string[]) => `
{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}
{{- message['content'].split('${close}')[-1] + '<|im_end|>\n' }}{% endfor %}
{{- '<|im_start|>assistant\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{ '${open}\n\n${close}\n\n' }}
{%- elif not may_think %}{{ '${open}\n' }}{% endif %}`

/** The demonstration model with two tokens that mark thoughts, and a template that has it think. */
export function thinkingModel(marks = ['<think>', '</think>'], special = false): ThinkingModel {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-thinking-'))
  for (const name of readdirSync(DEMO)) {
    if (!/^tokenizer.json|jinja$/.test(name)) symlinkSync(join(DEMO, name), join(folder, name))
  }
  const json = JSON.parse(readFileSync(join(DEMO, 'tokenizer.json'), 'utf8')) as TokenizerParts
  const ids = REPLACED.map((token) => json.model.vocab[token]!)
  const named = (token: string) => marks[REPLACED.indexOf(token)] ?? token
  json.model.vocab = Object.fromEntries(
    Object.entries(json.model.vocab).map(([token, id]) => [named(token), id]),
  )
  json.model.merges = json.model.merges.filter(
    ([a, b]) => !REPLACED.some((token) => [a, b, a + b].includes(token)),
  )
  const [plain] = json.added_tokens
  json.added_tokens.push(...ids.map((id, i) => ({ ...plain!, id, content: marks[i]!, special })))
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(json))
  writeFileSync(join(folder, 'chat_template.jinja'), templateOf(marks))
  return {
    folder,
    open: ids[0]!,
    close: ids[1]!,
    remove: () => rmSync(folder, { recursive: true }),
  }
}

interface TokenizerParts {
  readonly added_tokens: {
    readonly id: number
    readonly content: string
    readonly special: boolean
  }[]
  readonly model: {
    vocab: Readonly<Record<string, number>>
    merges: (readonly [string, string])[]
  }
}
