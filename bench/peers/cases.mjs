// What whole engines are measured by. A case is a name, or a name and a number.
//   single     1 sequence of 64 tokens in, 192 out: tokens a second
//   prefill    1,024 tokens in, 1 out: tokens of the prompt a second
//   batch:N    N sequences of 64 tokens in, 128 out, at once: tokens a second
//   context:N  1 sequence of N tokens in, 64 out: tokens a second after the first
//   load       a new process, a text in, one token out: milliseconds from its start
//   accuracy:N the distributions after each of N tokens of text, beside exact ones (accuracy.mjs)
const KINDS = {
  single: () => ({ sequences: 1, inputLength: 64, outputLength: 192 }),
  prefill: () => ({ sequences: 1, inputLength: 1024, outputLength: 1 }),
  batch: (count) => ({ sequences: count, inputLength: 64, outputLength: 128 }),
  context: (length) => ({ sequences: 1, inputLength: length, outputLength: 64 }),
  load: () => ({ sequences: 1, text: 'The capital of France is', outputLength: 1 }),
  accuracy: (tokens) => ({ tokens }),
}

/** The case of that name. Throws where there is none. */
export function parseCase(name) {
  const [kind, number = '1'] = name.split(':')
  const count = Number(number)
  if (!(kind in KINDS) || !Number.isInteger(count) || count < 1)
    throw new TypeError(`case: expected one of ${Object.keys(KINDS).join(', ')}, found ${name}`)
  return { name, kind, ...KINDS[kind](count) }
}

/** For a sort of cases' names: as in the list above, those of a kind by their numbers. */
export function compareCases(a, b) {
  const order = (name) => Object.keys(KINDS).indexOf(name.split(':')[0])
  return order(a) - order(b) || a.localeCompare(b, 'en', { numeric: true })
}

/** Token ids made from a number, the same for every engine that is compared. */
export const makePrompt = (length, seed, vocabulary = 41_001) =>
  Array.from({ length }, (_, i) => 1000 + ((i * 7919 + seed * 104_729) % (vocabulary - 1001)))

/** What a case gives of its tokens and times (in milliseconds, from the start of its run). */
export function valueOf({ kind, inputLength, outputLength, sequences }, { made, first, end }) {
  if (made < sequences * outputLength) throw new Error(`only ${made} tokens were made`)
  if (kind === 'prefill') return (inputLength * 1000) / end
  if (kind === 'context') return ((made - sequences) * 1000) / (end - first)
  return (made * 1000) / end
}
