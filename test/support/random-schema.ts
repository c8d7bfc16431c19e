/** Numbers from 0 to 1 by a seed: mulberry32. */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * A JSON Schema of any of the kinds that can be granted. A bounded one allows only texts of limited
 * length.
 */
export function randomSchema(random: () => number, bounded: boolean, depth = 3): object {
  const below = (limit: number) => Math.floor(random() * limit)
  const inner = () => randomSchema(random, bounded, depth - 1)
  const number = () => Math.round((random() * 400 - 200) * 8) / 8
  const kinds: (() => object)[] = [
    () => ({ type: 'boolean' }),
    () => ({ type: ['null', 'boolean'] }),
    () => ({ enum: ['red', 3, null, 'żółw', [1, { a: 2 }]].slice(below(3), 3 + below(3)) }),
    () => ({ type: 'string', minLength: below(3), maxLength: 3 + below(12) }),
    () => ({
      type: 'string',
      pattern: ['^[A-Z][a-z]{1,8}$', '^\\d{3}-\\d{4}$', '^(a|b"|c\\\\){2}$'][below(3)],
    }),
    () => ({ type: 'string', format: ['date', 'time', 'date-time', 'uuid', 'ipv4'][below(5)] }),
    () => rangeOf('integer', Math.round(number()), below(500)),
    () => rangeOf('number', number(), below(40) / 8 + 0.125),
    ...(bounded ? [] : [() => ({ type: 'string' }), () => ({ type: 'number' }), () => ({})]),
    ...(depth > 0
      ? [
          () => objectOf(below, inner),
          () => objectOf(below, inner),
          () => arrayOf(below, inner, bounded),
          () => ({ anyOf: [inner(), inner()] }),
        ]
      : []),
  ]
  return kinds[below(kinds.length)]!()
}

function rangeOf(type: string, least: number, size: number): object {
  return { type, minimum: least, maximum: least + size }
}

function objectOf(below: (limit: number) => number, inner: () => object): object {
  const names = ['name', 'a b', 'über', 'x"y', 'value'].slice(0, 1 + below(5))
  return {
    type: 'object',
    properties: Object.fromEntries(names.map((name) => [name, inner()])),
    required: names.filter(() => below(2) === 0),
    additionalProperties: false,
  }
}

function arrayOf(below: (limit: number) => number, inner: () => object, bounded: boolean): object {
  const minItems = below(3)
  return {
    type: 'array',
    ...(below(3) === 0 ? { prefixItems: [inner()] } : {}),
    items: inner(),
    minItems,
    ...(bounded || below(2) === 0 ? { maxItems: minItems + 1 + below(3) } : {}),
  }
}
