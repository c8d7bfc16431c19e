import type { StoredType, TokenGroup } from './ops.js'
import { bytesPerElement } from './size.js'

/** What one layer keeps of its tokens. */
export interface LayerCache {
  readonly kvHeads: number
  readonly keyDim: number
  readonly valueDim: number
  readonly latent?: boolean
  /** Tokens that are attended to, the token itself included; absent: all. */
  readonly window?: number
}

/** A layer of a cache group. */
export interface CacheSlot {
  readonly group: number
  readonly layer: number
}

/**
 * Puts layers that keep the same into groups, in order, so that the groups take about equal bytes: a
 * kind of layers that is more than another becomes several groups. A model of one kind has one group.
 */
export function groupLayers(layers: readonly LayerCache[], type: StoredType) {
  const kinds = new Map<string, number[]>()
  layers.forEach(({ kvHeads, keyDim, valueDim, latent, window }, index) => {
    const key = [kvHeads, keyDim, valueDim, latent, window].join()
    kinds.set(key, [...(kinds.get(key) ?? []), index])
  })
  const bytesOf = (members: readonly number[]) =>
    members.reduce((total, index) => total + layerBytes(layers[index]!, type), 0)
  const smallest = Math.min(...[...kinds.values()].map(bytesOf))
  const groups: TokenGroup[] = []
  const slots: CacheSlot[] = []
  for (const members of kinds.values()) {
    const { window, ...row } = layers[members[0]!]!
    const parts = Math.min(members.length, Math.ceil(bytesOf(members) / smallest))
    for (let part = 0; part < parts; part++) {
      const first = Math.floor((members.length * part) / parts)
      const own = members.slice(first, Math.floor((members.length * (part + 1)) / parts))
      own.forEach((index, layer) => (slots[index] = { group: groups.length, layer }))
      const kind = window !== undefined ? `window${window}` : kinds.size === 1 ? 'kv' : 'full'
      const name = parts === 1 ? kind : `${kind}.${part}`
      const common = { name, type, layers: own.length, ...row }
      groups.push(
        window === undefined ? { ...common, kind: 'full' } : { ...common, kind: 'window', window },
      )
    }
  }
  return { groups, slots }
}

function layerBytes({ kvHeads, keyDim, valueDim, latent }: LayerCache, type: StoredType): number {
  return kvHeads * (latent ? keyDim : keyDim + valueDim) * bytesPerElement(type)
}
