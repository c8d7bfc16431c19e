import { expect } from 'vitest'
import type { Reply } from '../../lib/text/reply-parser.js'
import { replyReader, type ReplyContext } from '../../lib/text/reply-reader.js'

/** A reply that is nothing but these. */
export const only = (part: Partial<Reply>): Reply => ({
  ...{ content: '', reasoning: '', toolCalls: [] },
  ...part,
})

export const call = (name: string, args: object) => ({ name, arguments: JSON.stringify(args) })

/** A reply that comes in these pieces. */
export function readPieces(
  pieces: readonly string[],
  context: Partial<ReplyContext> & Pick<ReplyContext, 'template'>,
): Reply {
  const reader = replyReader({ prompt: null, toolUse: 'allowed', ...context })
  const replies = [
    ...pieces.slice(0, -1).map((piece) => reader.push(piece)),
    reader.end(pieces.at(-1)!),
  ]
  return {
    content: replies.map(({ content }) => content).join(''),
    reasoning: replies.map(({ reasoning }) => reasoning).join(''),
    toolCalls: replies.flatMap(({ toolCalls }) => toolCalls),
  }
}

/** The reply in one piece, which must be the one in two pieces, cut anywhere, and in characters. */
export function readReply(text: string, context: Parameters<typeof readPieces>[1]): Reply {
  const whole = readPieces([text], context)
  for (let cut = 0; cut <= text.length; cut++) {
    expect(readPieces([text.slice(0, cut), text.slice(cut)], context)).toEqual(whole)
  }
  expect(readPieces([...Array.from(text), ''], context)).toEqual(whole)
  return whole
}
