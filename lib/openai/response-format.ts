import { isRecord, outOfRange, wrongType, type RawOptions } from '../check.js'
import type { SamplingOptions } from '../sampling-params.js'
import type { StructuredOutputs } from '../structured/spec.js'

/** What `structured_outputs` asks of the answer, in the engine's names, which checks it; undefined for nothing. */
export function readStructured({ structured_outputs: given }: RawOptions): unknown {
  if (!isRecord(given)) return given ?? undefined
  const { disable_any_whitespace: disableAnyWhitespace, ...others } = given
  return { ...others, ...(disableAnyWhitespace != null && { disableAnyWhitespace }) }
}

/** Both at once: a format is one more of the fields. */
export function withFormat(given: unknown, format: StructuredOutputs | null): unknown {
  if (format === null) return given
  return isRecord(given) ? { ...given, ...format } : (given ?? format)
}

/** What shapes the text of an answer beside `structured_outputs`. */
interface Shapes {
  readonly forcedCall: StructuredOutputs | null
  readonly format?: StructuredOutputs | null
}

/**
 * Sampling options by which a text follows a format too, or is a forced call, whatever a format would
 * want of it. Throws RangeError for such a call beside `structured_outputs`.
 */
export function withShapes(
  params: SamplingOptions,
  body: RawOptions,
  { forcedCall, format = null }: Shapes,
): SamplingOptions {
  if (forcedCall !== null && body.structured_outputs != null)
    throw outOfRange('tool_choice', "'auto' or 'none' beside structured_outputs", body.tool_choice)
  const structured = forcedCall ?? withFormat(params.structuredOutputs, format)
  if (structured === undefined) return params
  return { ...params, structuredOutputs: structured as StructuredOutputs }
}

/**
 * What `response_format` asks of the answer; null for text. Throws TypeError or RangeError naming the
 * field; what a schema says is checked when it is compiled.
 */
export function readResponseFormat({
  response_format: format,
}: RawOptions): StructuredOutputs | null {
  return readFormat('response_format', format, ({ json_schema: described }) => {
    if (isRecord(described)) return described
    throw wrongType('response_format.json_schema', '{ name, schema }', described)
  })
}

/** The same of the field `name`; `described` finds the part that holds the schema. */
export function readFormat(
  name: string,
  format: unknown,
  described: (format: RawOptions) => RawOptions,
): StructuredOutputs | null {
  if (format === undefined || format === null) return null
  if (!isRecord(format)) throw wrongType(name, 'an object', format)
  switch (format.type) {
    case 'text':
      return null
    case 'json_object':
      return { json: { type: 'object' } }
    case 'json_schema': {
      const { schema } = described(format)
      if (isRecord(schema)) return { json: schema }
      const inner = described(format) === format ? name : `${name}.json_schema`
      throw wrongType(`${inner}.schema`, 'an object', schema)
    }
    default:
      throw outOfRange(`${name}.type`, "'text', 'json_object' or 'json_schema'", format.type)
  }
}
