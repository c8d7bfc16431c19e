/** How a model marks its thoughts. */
export interface ThoughtMarks {
  readonly open: readonly string[]
  readonly close: readonly string[]
  /** Marks around the answer that follows, which are no part of it. */
  readonly answer: readonly string[]
  /** All of these are special tokens, and never text. */
  readonly special: boolean
}

/** The marks that a chat template shows; null for none. */
export function thoughtsOf(template: string): ThoughtMarks | null {
  const shown = [COMMAND, MISTRAL, SEED, APERTUS, GRANITE].find(({ close }) =>
    close.some((mark) => template.includes(mark)),
  )
  if (shown !== undefined) return shown
  if (!template.includes('</think>')) return null
  const answer = ['response', 'answer'].filter((name) => template.includes(`<${name}>`))
  return {
    open: ['<think>'],
    close: ['</think>'],
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
