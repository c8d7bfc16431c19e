/** Kinds of nodes of an automaton. */
export const Node = { end: 0, bytes: 1, split: 2, call: 3 } as const

/** The node that ends every rule. */
export const END = 0
