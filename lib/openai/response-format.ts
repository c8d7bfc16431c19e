import { isRecord, outOfRange, wrongType, type RawOptions } from '../check.js'
import type { StructuredOutputs } from '../structured/spec.js'

/**
 * What `response_format` asks of the answer; null for text. Throws TypeError or RangeError naming the
 * field; what a schema says is checked when it is compiled.
 */
export function readResponseFormat({
  response_format: format,
}: RawOptions): StructuredOutputs | null {
  if (format === undefined || format === null) return null
  if (!isRecord(format)) throw wrongType('response_format', 'an object', format)
  switch (format.type) {
    case 'text':
      return null
    case 'json_object':
      return { json: { type: 'object' } }
    case 'json_schema':
      return { json: schemaOf(format.json_schema) }
    default:
      throw outOfRange(
        'response_format.type',
        "'text', 'json_object' or 'json_schema'",
        format.type,
      )
  }
}

function schemaOf(described: unknown): object {
  const name = 'response_format.json_schema'
  if (!isRecord(described)) throw wrongType(name, '{ name, schema }', described)
  if (!isRecord(described.schema)) throw wrongType(`${name}.schema`, 'an object', described.schema)
  return described.schema
}
