import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { grammar, judge, randomTexts } from './support/grammars.js'

describe('schemas of libraries', () => {
  it.each<[name: string, type: z.ZodType, values: readonly unknown[]]>([
    [
      'formats',
      z.object({ a: z.email(), b: z.url(), c: z.uuid(), d: z.ipv6(), e: z.base64() }),
      [
        {
          a: 'a@b.co',
          b: 'https://c.de',
          c: '123e4567-e89b-12d3-a456-426614174000',
          d: '::1',
          e: '',
        },
      ],
    ],
    [
      'times',
      z.object({ a: z.iso.datetime(), b: z.iso.date(), c: z.iso.duration(), d: z.iso.time() }),
      [{ a: '2024-02-29T12:00:00Z', b: '2023-05-31', c: 'P1DT2H', d: '12:30' }],
    ],
    [
      'names',
      z.array(z.union([z.cuid2(), z.e164(), z.cidrv4(), z.emoji()])),
      [['+491234567', '10.0.0.0/8', '🐢']],
    ],
    [
      'parts of strings',
      z.string().startsWith('ab').endsWith('c').min(4).max(9),
      ['abxc', 'ababababc'],
    ],
    [
      'records',
      z.tuple([
        z.record(z.string(), z.int32()),
        z.record(z.enum(['a', 'b']), z.null()),
        z.partialRecord(z.enum(['a', 'b']), z.int()),
      ]),
      [[{ x: 1 }, { a: null, b: null }, {}]],
    ],
    [
      'intersections',
      z.intersection(z.object({ a: z.string() }), z.object({ b: z.number().multipleOf(0.5) })),
      [{ a: '', b: 2.5 }],
    ],
    [
      'kinds',
      z.discriminatedUnion('t', [
        z.object({ t: z.literal('a') }),
        z.object({ t: z.literal(['b', 'c']), x: z.number().nullable() }),
      ]),
      [{ t: 'a' }, { t: 'c', x: null }],
    ],
    [
      'what is read, not made',
      z.object({ n: z.string().transform(Number), d: z.int().default(3) }),
      [{ n: '3' }, { n: '', d: 1 }],
    ],
  ])('grants %s of Zod', (_, type, values) => {
    const recognizer = grammar({ json: type })
    for (const value of values) {
      expect([value, judge(recognizer, JSON.stringify(value))]).toEqual([value, 'whole'])
    }
    for (const text of randomTexts(recognizer)) {
      const { error } = type.safeParse(JSON.parse(text))
      expect([text, error?.message]).toEqual([text, undefined])
    }
  })

  it('say what a library lacks to be read', () => {
    const mute = { '~standard': { version: 1, vendor: 'mute', validate: () => ({ value: 1 }) } }
    expect(() => grammar({ json: mute })).toThrow(
      'structuredOutputs.json: a schema of "mute" does not tell its JSON Schema; convert it first',
    )
    expect(() => grammar({ json: z.bigint() })).toThrow(/structuredOutputs.json: .*BigInt/)
  })
})
