import { EngineError } from '../errors.js'
import { textPartName } from '../models/text-part.js'
import type { NativeTensor } from '../native/addon-types.js'
import type { AdapterPart, AdapterPlan } from '../plan/adapter.js'
import type { StoredType, Weight, WeightSource } from '../plan/ops.js'
import { orderOf, partOf, sourcesOf, type RowOrder } from '../plan/tensor-rows.js'
import { nativeTensor, shortName } from './checkpoint.js'
import { invalidTensor } from './encoded-tensors.js'
import type { LoraAdapter, LoraModule } from './lora-modules.js'
import type { StoredTensor } from './safetensors.js'

/** An adapter as native loads it beside a plan, and the tensors of its weights. */
export interface MatchedAdapter {
  readonly plan: AdapterPlan
  readonly tensors: readonly NativeTensor[]
}

/** Rows of a weight, from `first` on, that are those of one tensor in some order. */
interface Place {
  readonly weight: Weight
  readonly first: number
  readonly orders: readonly [RowOrder, ...RowOrder[]]
}

/** By the names of their tensors. */
type Places = ReadonlyMap<string, Place>

const NAMED = 3

/**
 * Finds the modules of an adapter among the weights that may be adapted; the rows of a matrix b are taken in the
 * order of the module's own. Throws EngineError `not_supported` naming a module that is none of them, and
 * `invalid_file` naming a tensor that has another shape than the module wants, or an unusable type.
 *
 * @example
 * const { plan, tensors } = matchAdapter(adaptable, await readLoraAdapter(folder))
 * printAdapter(plan)
 */
export function matchAdapter(adaptable: readonly Weight[], adapter: LoraAdapter): MatchedAdapter {
  const places = placesOf(adaptable)
  const matched = new Matched()
  const missing: string[] = []
  for (const module of adapter.modules.values()) {
    const place = placeOf(places, module.name)
    if (place) matched.add(module, place)
    else missing.push(module.name)
  }
  if (missing.length > 0) throw unknownModules(adapter, missing, places)
  return { plan: matched, tensors: matched.tensors }
}

/** Where the tensors of the weights are; those that are no matrix of a module are left out. */
function placesOf(weights: readonly Weight[]): Places {
  const places = new Map<string, Place>()
  for (const weight of weights) {
    let first = 0
    let before: WeightSource | undefined
    for (const source of weight.sources) {
      const order = orderOf(source, columnsOf(weight))
      const place = before?.name === source.name ? places.get(source.name) : undefined
      if (order && place) places.set(source.name, { ...place, orders: [...place.orders, order] })
      else if (order) places.set(source.name, { weight, first, orders: [order] })
      first += source.rows
      before = source
    }
  }
  return places
}

/** A module may be one of the text part of a larger model, or of a model without its head. */
function placeOf(places: Places, module: string): Place | undefined {
  const name = `${module}.weight`
  const known = places.get(name) ?? places.get(textPartName(name) ?? '')
  return known ?? [...places].find(([full]) => shortName(full) === name)?.[1]
}

/** The modules that were found, as weights, parts and tensors. */
class Matched implements AdapterPlan {
  readonly weights: Weight[] = []
  readonly parts: AdapterPart[] = []
  readonly tensors: NativeTensor[] = []
  readonly #names = new Map<Place, string>()

  add(module: LoraModule, place: Place): void {
    const other = this.#names.get(place)
    if (other) throw invalidTensor(module.a, `is of a module that is there as ${other} too`)
    this.#names.set(place, module.name)
    const { rank, scale } = module
    const { weight, first, orders } = place
    const rows = orders.reduce((sum, order) => sum + order.rows, 0)
    const part = partOf(isWhole(orders) ? rows : orders, rank, false)
    const columns = columnsOf(weight)
    const a = this.#declare(module.a, [rank, columns], sourcesOf(module.a.name, rank, [columns]))
    const b = this.#declare(module.b, [rows, rank], sourcesOf(module.b.name, part, [rank]))
    this.parts.push({ weight, first, scale, a, b })
  }

  #declare(tensor: StoredTensor, shape: readonly number[], sources: readonly WeightSource[]) {
    const native = nativeTensor({ name: tensor.name, shape }, tensor)
    this.tensors.push(native)
    const type = native.type as StoredType
    const weight: Weight = { id: this.weights.length, role: 'matrix', type, shape, sources }
    this.weights.push(weight)
    return weight
  }
}

/** Whether these are the rows of a matrix as they are. */
function isWhole([{ first = 0, order = [] }, ...others]: Place['orders']): boolean {
  return others.length === 0 && first === 0 && order.length <= 1 && (order[0]?.[1] ?? 1) === 1
}

function columnsOf({ shape }: Weight): number {
  return shape[1] ?? 0
}

function unknownModules(
  { path }: LoraAdapter,
  [first, ...others]: readonly string[],
  places: Places,
): EngineError {
  const more = others.length > 0 ? ` and ${others.length} more` : ''
  const names = [...places.keys()].slice(0, NAMED).map((name) => name.replace(/\.weight$/, ''))
  const known = names.length > 0 ? `modules such as ${names.join(', ')}` : 'no modules'
  return new EngineError(
    'not_supported',
    `${path}: adapts module ${first}${more}; of this model ${known} can be adapted`,
  )
}
