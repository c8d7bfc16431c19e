/**
 * Runs steps of every kind on a toy model. 43.recording.test.ts runs it with the recording addon:
 * its events are the fixture test/fixtures/recordings/toy. 43 also says how to write that anew.
 */
import { Events, packToy, promptStep, requireAddon, TOY_VOCAB, toyEngine, toyPlan } from './toy.js'

const events = new Events()
const engine = toyEngine(requireAddon(), events, { threads: 1 })
await engine.load(toyPlan(), { seed: 3 })

const ids = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => (from + i * 11) % TOY_VOCAB)
const even = [0x55555555, 0x55555555, 0x55555555]
const random = { topK: 20, seedLow: 17, seedHigh: 4 }

// A prompt, the first chunk of another, and scored prompt positions.
engine.submit(
  ...packToy({
    id: 1,
    sequences: [
      { tokens: ids(21), blocks: [1, 2] },
      { tokens: ids(30, 5), blocks: [3, 4] },
    ],
    samples: [
      { tokenRow: 18, target: 14, logprobs: 0 },
      { tokenRow: 19, target: 25, logprobs: 3 },
      { tokenRow: 20, logprobs: 5 },
    ],
  }),
)
// Decodes the first from its last sample, while the second ends its prompt with two draws.
engine.submit(
  ...packToy({
    id: 2,
    temperature: 0.8,
    sequences: [
      { tokens: [-3], start: 21, blocks: [1, 2] },
      { tokens: ids(7, 40), start: 30, blocks: [3, 4, 5] },
    ],
    samples: [
      { tokenRow: 0, logprobs: 2, counter: 1, ...random },
      { tokenRow: 7, logprobs: 2, ...random },
      { tokenRow: 7, logprobs: 2, stream: 1, ...random },
    ],
  }),
)
await engine.copy(Int32Array.of(0, 0, 4, 1, 2)) // to the host
// Copy-on-write before, a swap after, penalties, biases, masks and processed log-probabilities.
engine.submit(
  ...packToy({
    id: 3,
    temperature: 0.9,
    sequences: [
      { tokens: [-1], start: 22, blocks: [1, 2] },
      { tokens: [-2], start: 37, blocks: [3, 7, 5] },
      { tokens: [-3], start: 37, blocks: [3, 7, 8] },
    ],
    samples: [
      { tokenRow: 0, logprobs: 4, penaltyCount: 2, counter: 2, flags: 1, ...random },
      { tokenRow: 1, logprobs: 4, biasCount: 2, counter: 1, ...random },
      { tokenRow: 2, logprobs: 4, mask: 0, counter: 1, stream: 1, ...random },
    ],
    penalties: [14, 2, 1, 25, 0, 1],
    biasIds: [3, 4],
    masks: [even],
    copiesBefore: [0, 1, 2, 0, 7, 0, 0, 5, 0, 8],
    copiesAfter: [0, 0, 1, 1, 0],
  }),
)
await events.until(3)
for (let id = 4; id < 40; id++) engine.submit(...promptStep(1 + ((id * 13) % 60), id))
await events.until(39)
await engine.dispose()
if (events.deaths.length > 0) throw new Error(events.deaths[0])
