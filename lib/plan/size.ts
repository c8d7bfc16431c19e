import type { CacheGroup, Plan, StoredType, Weight } from './ops.js'

/** Bytes that one element takes. */
export function bytesPerElement(type: StoredType): number {
  return type === 'float32' ? 4 : 2
}

/** Parameters of the model; a tied tensor counts once. */
export function parameterCount(plan: Plan): number {
  return sum(plan.weights, elementsOf)
}

/** Bytes of the model's weights in the plan's types. */
export function weightBytes(plan: Plan): number {
  return sum(plan.weights, (weight) => elementsOf(weight) * bytesPerElement(weight.type))
}

/** Bytes of one token's keys and values in all layers of all cache groups. */
export function cacheBytesPerToken(plan: Plan): number {
  return sum(plan.caches, groupBytesPerToken)
}

function groupBytesPerToken(group: CacheGroup): number {
  const { layers, kvHeads, keyDim, valueDim, type } = group
  return layers * kvHeads * (keyDim + valueDim) * bytesPerElement(type)
}

function elementsOf(weight: Weight): number {
  return weight.shape.reduce((product, size) => product * size, 1)
}

function sum<T>(items: readonly T[], measure: (item: T) => number): number {
  return items.reduce((total, item) => total + measure(item), 0)
}
