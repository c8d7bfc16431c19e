import { DEEPSEEK } from './reply-formats/deepseek.js'
import { QWEN_CODER, SEED } from './reply-formats/function-tags.js'
import { GLM } from './reply-formats/glm.js'
import { Harmony } from './reply-formats/harmony.js'
import * as json from './reply-formats/json-calls.js'
import { markedSection } from './reply-formats/marked.js'
import { MISTRAL } from './reply-formats/mistral.js'
import { LFM2, OLMO3, PYTHON_LIST } from './reply-formats/pythonic.js'
import type { Section } from './reply-formats/section.js'
import { thoughtsBehind, thoughtsOf, type Thoughts } from './reply-formats/thoughts.js'
import type { CallFormat, CallableTool } from './reply-formats/tool-call.js'

/** How a model's replies are written. */
export interface ReplyFormat {
  /** Whether replies may hold thoughts. */
  readonly thinks: boolean
  /** Whether a reply's text must keep special tokens, where calls of tools are looked for or not. */
  readsSpecialTokens(calls: boolean): boolean
  /** What the reply to a prompt begins with. `tools` may be called; null: no calls are looked for. */
  begin(prompt: string, tools: readonly CallableTool[] | null): Section
  /** What may come before a reply that follows a grammar; null: nothing. */
  thoughts(prompt: string): Thoughts | null
}

/** The first one that a template shows is its own: some show marks of those behind them too. */
const CALL_FORMATS: readonly CallFormat[] = [
  ...[DEEPSEEK, GLM, SEED, QWEN_CODER, LFM2, OLMO3],
  ...[json.COMMAND, json.APERTUS, json.GRANITE, json.HUNYUAN, json.HERMES, MISTRAL],
  ...[json.FUNCTOOLS, PYTHON_LIST, json.LLAMA3],
]

/** By the source of the template: every request asks, of the few that there are. */
const known = new Map<string, ReplyFormat>()

/** What a chat template says of the replies that follow it. */
export function replyFormatOf(template: string): ReplyFormat {
  const format = known.get(template) ?? formatShownBy(template)
  known.set(template, format)
  return format
}

function formatShownBy(template: string): ReplyFormat {
  if (template.includes('<|channel|>')) return HARMONY
  const thoughts = thoughtsOf(template)
  const written = CALL_FORMATS.find((format) => format.shownBy(template)) ?? null
  return {
    thinks: thoughts !== null,
    readsSpecialTokens: (calls) =>
      thoughts?.special === true || (calls && written?.special === true),
    begin(prompt, tools) {
      const calls = tools === null ? null : written
      return markedSection({ thoughts, calls, tools: tools ?? [] }, prompt)
    },
    thoughts: (prompt) => thoughtsBehind(prompt, thoughts),
  }
}

const HARMONY: ReplyFormat = {
  thinks: true,
  readsSpecialTokens: () => true,
  begin: (prompt, tools) => new Harmony(tools).begin(prompt),
  thoughts: () => null,
}
