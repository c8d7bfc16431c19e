import type { CacheGroup, CacheType } from './ops.js'
import { bytesPerElement, tokenBytes } from './size.js'

/** What one layer keeps: something of each token, or a state of the sequence. */
export type LayerCache = TokenLayer | StateLayer

/** What one layer keeps of its tokens. */
export interface TokenLayer {
  readonly kvHeads: number
  readonly keyDim: number
  readonly valueDim: number
  readonly latent?: boolean
  /** Tokens that are attended to, the token itself included; absent: all. */
  readonly window?: number
}

/** So many float32 numbers, whatever the sequence's length. */
export interface StateLayer {
  readonly elements: number
}

/** A layer of a cache group. */
export interface CacheSlot {
  readonly group: number
  readonly layer: number
}

/** Tokens of a block that states are made to fit into: the default block size. */
const BLOCK_TOKENS = 16

/**
 * Puts layers that keep the same into groups, in order, so that the groups' blocks take about equal
 * bytes: a kind of layers that is more than another becomes several groups. States fill blocks as
 * large as the tokens' are. A model of one kind has one group.
 */
export function groupLayers(layers: readonly LayerCache[], type: CacheType) {
  const kinds = new Map<string, number[]>()
  layers.forEach((layer, index) => {
    const key = JSON.stringify(layer)
    kinds.set(key, [...(kinds.get(key) ?? []), index])
  })
  const bytesOf = (members: readonly number[]) =>
    members.reduce((total, index) => total + blockBytes(layers[index]!, type), 0)
  const tokenKinds = [...kinds.values()].filter(([first]) => !isState(layers[first!]!))
  const smallest = Math.min(...tokenKinds.map(bytesOf))
  const groups: CacheGroup[] = []
  const slots: CacheSlot[] = []
  for (const members of kinds.values()) {
    const parts = Math.max(1, Math.min(members.length, Math.ceil(bytesOf(members) / smallest)))
    for (let part = 0; part < parts; part++) {
      const first = Math.floor((members.length * part) / parts)
      const own = members.slice(first, Math.floor((members.length * (part + 1)) / parts))
      own.forEach((index, layer) => (slots[index] = { group: groups.length, layer }))
      const group = groupOf(layers[own[0]!]!, own.length, type, tokenKinds.length === 1)
      groups.push(parts === 1 ? group : { ...group, name: `${group.name}.${part}` })
    }
  }
  return { groups, slots }
}

/** A group of so many layers; `only`: no other kind keeps tokens. */
function groupOf(layer: LayerCache, layers: number, type: CacheType, only: boolean): CacheGroup {
  if (isState(layer)) return { name: 'state', kind: 'state', layers, ...layer }
  const { window, ...row } = layer
  if (window === undefined)
    return { name: only ? 'kv' : 'full', type, layers, ...row, kind: 'full' }
  return { name: `window${window}`, type, layers, ...row, kind: 'window', window }
}

function blockBytes(layer: LayerCache, type: CacheType): number {
  if (isState(layer)) return layer.elements * bytesPerElement('float32')
  return BLOCK_TOKENS * tokenBytes({ ...layer, type })
}

function isState(layer: LayerCache): layer is StateLayer {
  return 'elements' in layer
}
