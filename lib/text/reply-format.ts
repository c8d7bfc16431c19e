/** How a model writes the calls of tools, as its chat template shows it. */
export type ToolFormat = 'hermes' | 'mistral' | 'llama3'

/** What a model's replies may hold beside text. */
export interface ReplyFormat {
  /** Thoughts between `<think>` and `</think>`. */
  readonly thinks: boolean
  /** null: the template knows no tools. */
  readonly tools: ToolFormat | null
}

/** What a chat template says of the replies that follow it. */
export function replyFormatOf(template: string): ReplyFormat {
  return { thinks: template.includes('</think>'), tools: toolFormatOf(template) }
}

function toolFormatOf(template: string): ToolFormat | null {
  if (template.includes('<tool_call>')) return 'hermes'
  if (template.includes('[TOOL_CALLS]')) return 'mistral'
  const llama = template.includes('<|python_tag|>') || template.includes('"parameters":')
  return llama && template.includes('tools') ? 'llama3' : null
}

/** Whether a prompt ends within the model's thoughts. */
export function beginsThinking(prompt: string): boolean {
  return prompt.trimEnd().endsWith('<think>')
}
