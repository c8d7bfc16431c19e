import type { StructuredOutputs } from './spec.js'

/** A function that a model may call. */
export interface CallableTool {
  readonly name: string
  /** JSON Schema of its arguments; null: any object. */
  readonly parameters: object | null
}

/** What a call of one of these tools looks like: `{"name": …, "arguments": …}` on one line. */
export function callOf(tools: readonly CallableTool[]): StructuredOutputs {
  const calls = tools.map(({ name, parameters }, i) => ({
    type: 'object',
    properties: {
      name: { const: name },
      arguments: relocate(parameters ?? { type: 'object' }, `/anyOf/${i}/properties/arguments`),
    },
    required: ['name', 'arguments'],
    additionalProperties: false,
  }))
  return { json: { anyOf: calls }, disableAnyWhitespace: true }
}

/** The same schema where it stands at `place` of another: its references are to itself. */
function relocate(value: unknown, place: string): unknown {
  if (Array.isArray(value)) return value.map((element) => relocate(element, place))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace(/^#/, `#${place}`)
        : relocate(inner, place),
    ]),
  )
}
