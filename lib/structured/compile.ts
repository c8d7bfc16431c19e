import { Automaton } from './automaton.js'
import { parseEbnf } from './ebnf.js'
import { alone, choice, text, type Grammar } from './grammar.js'
import { jsonSchemaGrammar } from './json-schema.js'
import { Recognizer } from './recognizer.js'
import { regexExpression } from './regex.js'
import type { GrammarSpec, OutputSpec } from './spec.js'
import { behindThoughts } from './thoughts.js'
import { Work } from './work.js'

/**
 * Makes what follows outputs of a description. A grammar of which a text may begin with a mark of thoughts
 * describes them itself, unless the prompt began them. Throws an Error of its own kind naming the option.
 */
export function compileGrammar({
  thoughts,
  ...spec
}: GrammarSpec & Partial<OutputSpec>): Recognizer {
  try {
    const work = new Work()
    const follow = (grammar: Grammar) => new Recognizer(new Automaton(grammar, work))
    const grammar = grammarOf(spec, work)
    if (!thoughts) return follow(grammar)
    const behind = () => follow(behindThoughts(grammar, thoughts))
    if (thoughts.begun) return behind()
    const bare = follow(grammar)
    return thoughts.open.some((mark) => bare.after(mark) !== null) ? bare : behind()
  } catch (error) {
    const kind = error instanceof TypeError ? TypeError : RangeError
    const reason = error instanceof Error ? error.message : String(error)
    throw new kind(`structuredOutputs.${spec.kind}: ${reason}`, { cause: error })
  }
}

function grammarOf({ kind, source, compact }: GrammarSpec, work: Work): Grammar {
  switch (kind) {
    case 'json':
      return jsonSchemaGrammar(JSON.parse(source), compact, work)
    case 'regex':
      return alone(regexExpression(source))
    case 'choice':
      return alone(choice(...(JSON.parse(source) as string[]).map(text)))
    case 'grammar':
      return parseEbnf(source)
    default:
      return kind satisfies never
  }
}
