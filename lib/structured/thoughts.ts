import type { Thoughts } from '../text/reply-formats/thoughts.js'
import {
  anything,
  choice,
  difference,
  oneOf,
  repeat,
  rule,
  sequence,
  text,
  token,
} from './grammar.js'
import type { Expression, Grammar } from './grammar.js'

/** No grammar has a rule of such a name. */
const ROOT = 'thoughts and text'

/** White space between thoughts and the text, as models write it: some line ends. */
const space = repeat(oneOf(' ', '\t', '\r', '\n'), 0, 4)

/** The same texts behind a model's thoughts, which are any text up to the first mark that closes them. */
export function behindThoughts(grammar: Grammar, { begun, open, close }: Thoughts): Grammar {
  const alone = rule(grammar.root)
  const closed = sequence(anything, choice(...close.map(text)), anything)
  const behind = sequence(difference(anything, closed), oneMark(close), space, alone)
  const root = begun ? behind : choice(sequence(oneMark(open), behind), alone)
  return { root: ROOT, rules: new Map([...grammar.rules, [ROOT, root]]) }
}

/** A mark is a special token in some vocabularies, and text in others. */
function oneMark(marks: readonly string[]): Expression {
  return choice(...marks.map(text), ...marks.map(token))
}
