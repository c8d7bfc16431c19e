import { Automaton, GRAMMAR_LIMITS } from './automaton.js'
import { parseEbnf } from './ebnf.js'
import { choice, text, type Expression, type Grammar } from './grammar.js'
import { jsonSchemaGrammar } from './json-schema.js'
import { Recognizer } from './recognizer.js'
import { regexExpression } from './regex.js'
import type { GrammarSpec } from './spec.js'

/** Makes what follows outputs of a description. Throws an Error of its own kind naming the option. */
export function compileGrammar(spec: GrammarSpec, limits = GRAMMAR_LIMITS): Recognizer {
  try {
    return new Recognizer(new Automaton(grammarOf(spec), limits))
  } catch (error) {
    const kind = error instanceof TypeError ? TypeError : RangeError
    const reason = error instanceof Error ? error.message : String(error)
    throw new kind(`structuredOutputs.${spec.kind}: ${reason}`, { cause: error })
  }
}

function grammarOf({ kind, source, compact }: GrammarSpec): Grammar {
  switch (kind) {
    case 'json':
      return jsonSchemaGrammar(JSON.parse(source), { compact })
    case 'regex':
      return rootOnly(regexExpression(source))
    case 'choice':
      return rootOnly(choice(...(JSON.parse(source) as string[]).map(text)))
    case 'grammar':
      return parseEbnf(source)
    default:
      return kind satisfies never
  }
}

function rootOnly(root: Expression): Grammar {
  return { root: 'root', rules: new Map([['root', root]]) }
}
