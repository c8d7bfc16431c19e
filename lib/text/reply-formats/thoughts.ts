/** How a model marks its thoughts. */
export interface ThoughtMarks {
  readonly open: readonly string[]
  readonly close: readonly string[]
  /** Marks around the answer that follows, which are no part of it. */
  readonly answer: readonly string[]
  /** All of these are special tokens, and never text. */
  readonly special: boolean
}

/** What most models open and close their thoughts with: text, whatever a tokenizer's file says of them. */
export const THINK = ['<think>', '</think>'] as const

/** The thoughts of the reply to one prompt. */
export interface Thoughts extends ThoughtMarks {
  /** Whether the prompt ended within them; they may be left out otherwise. */
  readonly begun: boolean
}

/** null: the reply to this prompt has none, as the template has no marks or the prompt closed them. */
export function thoughtsBehind(prompt: string, marks: ThoughtMarks | null): Thoughts | null {
  if (marks === null) return null
  const before = prompt.trimEnd()
  const endsWithOne = (of: readonly string[]) => of.some((mark) => before.endsWith(mark))
  return endsWithOne(marks.close) ? null : { ...marks, begun: endsWithOne(marks.open) }
}

/** The marks that a chat template shows; null for none. */
export function thoughtsOf(template: string): ThoughtMarks | null {
  const shown = [COMMAND, MISTRAL, SEED, APERTUS, GRANITE].find(({ close }) =>
    close.some((mark) => template.includes(mark)),
  )
  if (shown !== undefined) return shown
  if (!template.includes(THINK[1])) return null
  const answer = ['response', 'answer'].filter((name) => template.includes(`<${name}>`))
  return {
    open: [THINK[0]],
    close: [THINK[1]],
    answer: answer.flatMap((name) => [`<${name}>`, `</${name}>`]),
    special: false,
  }
}

/** Command R7B and A. */
const COMMAND: ThoughtMarks = {
  open: ['<|START_THINKING|>'],
  close: ['<|END_THINKING|>'],
  answer: ['<|START_RESPONSE|>', '<|END_RESPONSE|>'],
  special: true,
}

/** Magistral and Ministral 3. */
const MISTRAL: ThoughtMarks = {
  open: ['[THINK]'],
  close: ['[/THINK]'],
  answer: [],
  special: true,
}

/** Seed-OSS; a budget of no thoughts has the prompt end with both of the marks that open them. */
const SEED: ThoughtMarks = {
  open: ['<seed:think>', '<seed:think><seed:cot_budget_reflect>'],
  close: ['</seed:think>'],
  answer: [],
  special: true,
}

const APERTUS: ThoughtMarks = {
  open: ['<|inner_prefix|>'],
  close: ['<|inner_suffix|>'],
  answer: [],
  special: true,
}

/** Granite 3.2, in words. */
const GRANITE: ThoughtMarks = {
  open: ['Here is my thought process:', "Here's my thought process:"],
  close: ['Here is my response:', "Here's my response:"],
  answer: [],
  special: false,
}
