import type { Routing } from '../../lib/plan/ops.js'

// What every backend chooses experts by, for its tests: names, the routing beside the defaults, extras.

export const EXPERTS = 24
export const ROUTINGS: [string, Partial<Routing>, { bias?: boolean }?][] = [
  ['softmax over all', {}],
  ['softmax over the chosen', { renormalise: true }],
  ['sigmoid with a scale', { score: 'sigmoid', renormalise: true, scale: 2.5 }],
  ['the best groups by their best', { groups: 4, topGroups: 2, scale: 16 }],
  [
    'the best groups by their best two, with a bias',
    { score: 'sigmoid', groups: 6, topGroups: 3, groupScore: 'bestTwo', renormalise: true },
    { bias: true },
  ],
]
