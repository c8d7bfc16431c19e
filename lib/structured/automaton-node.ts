/** Kinds of nodes of an automaton. */
export const Node = { end: 0, bytes: 1, split: 2, call: 3, counted: 4 } as const

/** The node that ends every rule. */
export const END = 0

/** The places of counters are numbered from here on, beyond all nodes. */
export const FIRST_PLACE = 2 ** 20
