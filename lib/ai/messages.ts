import type { LanguageModelV3Message, LanguageModelV3Prompt } from '@ai-sdk/provider'
import { EngineError } from '../errors.js'
import type { ChatTurn } from '../text/chat-turns.js'

type MessageOf<Role> = Extract<LanguageModelV3Message, { role: Role }>

/** The SDK's messages as chat templates know them. Throws EngineError `not_supported` for files. */
export function chatTurnsOf(prompt: LanguageModelV3Prompt): readonly ChatTurn[] {
  return prompt.flatMap((message): readonly ChatTurn[] => {
    switch (message.role) {
      case 'system':
        return [{ role: 'system', content: message.content }]
      case 'user':
        return [{ role: 'user', content: message.content.map(textOf).join('\n') }]
      case 'assistant':
        return [assistantTurn(message)]
      case 'tool':
        return toolTurns(message)
      default:
        return message satisfies never
    }
  })
}

function textOf(part: MessageOf<'user'>['content'][number]): string {
  if (part.type === 'text') return part.text
  throw new EngineError('not_supported', `a message's part of type ${part.type} is not supported`)
}

/** Earlier thoughts are left out, as templates do by themselves. */
function assistantTurn({ content }: MessageOf<'assistant'>): ChatTurn {
  const texts = content.flatMap((part) => (part.type === 'text' ? [part.text] : []))
  const calls = content.flatMap((part) =>
    part.type === 'tool-call'
      ? [
          {
            ...{ id: part.toolCallId, type: 'function' },
            function: { name: part.toolName, arguments: part.input },
          },
        ]
      : [],
  )
  const turn = { role: 'assistant', content: texts.join('') }
  return calls.length === 0 ? turn : { ...turn, tool_calls: calls }
}

function toolTurns({ content }: MessageOf<'tool'>): readonly ChatTurn[] {
  return content.flatMap((part) => {
    if (part.type !== 'tool-result') return []
    const { output } = part
    const value = 'value' in output ? output.value : (output.reason ?? 'denied')
    return [
      {
        ...{ role: 'tool', name: part.toolName, tool_call_id: part.toolCallId },
        content: typeof value === 'string' ? value : JSON.stringify(value),
      },
    ]
  })
}
