import { EngineError } from '../errors.js'

// Parts of a tokenizer.json, for models whose tokenizer lies in files of another kind.

/** Bytes written as visible characters: as a pre-tokenizer, and as a decoder. */
export const BYTE_LEVEL = {
  type: 'ByteLevel',
  add_prefix_space: true,
  trim_offsets: true,
  use_regex: true,
}

/** A model of byte pairs, without its vocabulary and merges. */
export const BYTE_PAIRS = {
  type: 'BPE',
  dropout: null,
  unk_token: null as string | null,
  continuing_subword_prefix: null,
  end_of_word_suffix: null,
  fuse_unk: false,
  byte_fallback: false,
  ignore_merges: false,
}

/** Two tokens that become one: a line with one space between them, or the two apart. */
export type Merge = string | readonly [string, string]

/** Whether a line is two tokens without spaces. */
export function hasOneSpace(line: string): boolean {
  const space = line.indexOf(' ')
  return space > 0 && !line.includes(' ', space + 1)
}

/** Merges as a file's lines have them: two tokens with a space between them, where a token may begin with one. */
export function splitMerges(lines: readonly string[], source: string): readonly Merge[] {
  return lines.every(hasOneSpace) ? lines : lines.map((line) => splitMerge(line, source))
}

function splitMerge(merge: string, source: string): readonly [string, string] {
  const space = merge.indexOf(' ', 1)
  if (space < 0)
    throw new EngineError(
      'invalid_file',
      `${source}: expected two tokens, found ${JSON.stringify(merge)}`,
    )
  return [merge.slice(0, space), merge.slice(space + 1)]
}

/** A post-processor that puts tokens before and after a text; null where there are none. */
export function surroundings(
  begin: string | null,
  end: string | null,
  idOf: (token: string) => number,
): object | null {
  const special = (token: string | null) =>
    token === null ? [] : [{ SpecialToken: { id: token, type_id: 0 } }]
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } })
  const named = [begin, end].filter((token) => token !== null)
  if (named.length === 0) return null
  return {
    type: 'TemplateProcessing',
    single: [...special(begin), sequence('A'), ...special(end)],
    pair: [...special(begin), sequence('A'), sequence('B'), ...special(end)],
    special_tokens: Object.fromEntries(
      named.map((token) => [token, { id: token, ids: [idOf(token)], tokens: [token] }]),
    ),
  }
}
