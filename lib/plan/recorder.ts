import type {
  HeadOptions,
  LinearWeights,
  MatrixUse,
  ModuleOptions,
  ModuleParts,
  Parts,
  PlanBuilderOptions,
} from './builder-options.js'
import { Checker, refusal } from './checker.js'
import { groupLayers, type CacheSlot, type LayerCache } from './layer-groups.js'
import { partOf, sourcesOf, type ModulePart, type Part } from './tensor-rows.js'
import type {
  CacheGroup,
  FullGroup,
  Op,
  Plan,
  Rope,
  Rows,
  StateGroup,
  TokenGroup,
  Value,
  Weight,
  WeightSource,
  WeightType,
} from './ops.js'

/** Declares what a plan is made of, weights, caches and ropes, and records its ops (builder.ts). */
export class PlanRecorder {
  protected readonly options: PlanBuilderOptions
  protected readonly caches: CacheGroup[] = []
  protected readonly ropes: Rope[] = []
  readonly #weights: Weight[] = []
  protected readonly values: Value[] = []
  protected readonly ops: Op[] = []
  readonly #labels = new Set<string>()
  readonly #weightOfSource = new Map<string, Weight>()
  protected readonly storedLayers = new Set<string>()

  constructor(options: PlanBuilderOptions) {
    this.options = options
  }

  /** Whether hidden states are to be pooled. */
  get pools(): boolean {
    return this.options.pools === true
  }

  /** Declares a matrix `[sum of the parts' rows, cols]`. The same parts again give the same weight. */
  matrix(parts: Parts, cols: number, use: MatrixUse = 'linear'): Weight {
    return this.#declare('matrix', parts, { columns: cols, type: this.#typeOf(parts, use) })
  }

  /** Declares a matrix whose rows are looked up; a tied head multiplies with the same weight. */
  table(parts: Parts, cols: number): Weight {
    return this.matrix(parts, cols, 'table')
  }

  /** Declares a float32 vector made of the parts one after the other, `offset` added to each element. */
  vector(parts: Parts, { offset }: { offset?: number } = {}): Weight {
    const added = this.options.addsOffsets === false ? undefined : offset
    return this.#declare('vector', parts, { offset: added, type: 'float32' })
  }

  /**
   * Declares the `.weight` and, with `bias`, the `.bias` of linear modules of the checkpoint, which
   * lie in the module `parent` under the names of `parts` and are fused by rows.
   */
  modules(
    parent: string,
    parts: ModuleParts,
    { columns, bias, transposed = false }: ModuleOptions,
  ): LinearWeights {
    const named = (tensor: string, partFor: (part: ModulePart) => Part) =>
      Object.fromEntries(
        Object.entries(parts).map(([name, part]) => [`${parent}.${name}.${tensor}`, partFor(part)]),
      )
    const matrixPart = (part: ModulePart) => partOf(part, columns, transposed)
    const vectorPart = (part: ModulePart) => partOf(part, undefined, false)
    return {
      weight: this.matrix(named('weight', matrixPart), columns),
      bias: bias ? this.vector(named('bias', vectorPart)) : undefined,
    }
  }

  /** Declares a cache group that keeps every token, and returns its number. */
  cache(group: Omit<FullGroup, 'kind' | 'type'>): number {
    return this.caches.push({ ...group, kind: 'full', type: this.options.cacheType }) - 1
  }

  /**
   * Declares the cache of each layer: groups for all that are alike, of about equal size, since all
   * draw blocks of equal bytes from one pool. Gives each layer's place.
   */
  layerCaches(layers: readonly LayerCache[]): readonly CacheSlot[] {
    const type = this.options.cacheType
    const { groups, slots } = groupLayers(layers, type)
    const first = this.caches.length
    this.caches.push(...groups)
    return slots.map(({ group, layer }) => ({ group: first + group, layer }))
  }

  /** Declares a group of states, one row of so many numbers a sequence and layer, and returns its number. */
  stateCache(group: Omit<StateGroup, 'kind'>): number {
    return this.caches.push({ ...group, kind: 'state' }) - 1
  }

  /** Declares a cache group as it is described, and returns its number. */
  declareCache(group: CacheGroup): number {
    return this.caches.push(group) - 1
  }

  /** Declares a rotary embedding; an equal one is declared once. */
  rope(rope: Omit<Rope, 'id'>): Rope {
    const key = JSON.stringify(rope)
    const known = this.ropes.find(({ id: _, ...other }) => JSON.stringify(other) === key)
    if (known) return known
    const declared = { id: this.ropes.length, ...rope }
    this.ropes.push(declared)
    return declared
  }

  /** The recorded plan. Every cache layer that was declared must have been written. */
  build(): Plan {
    this.caches.forEach((group, index) => {
      for (let layer = 0; layer < group.layers; layer++)
        if (!this.storedLayers.has(`${index}/${layer}`))
          throw refusal(`cache ${group.name}: no op writes layer ${layer} of ${group.layers}`)
    })
    return {
      name: this.options.name,
      vocabSize: this.options.vocabSize,
      ...(this.options.place && { place: this.options.place }),
      caches: this.caches,
      ropes: this.ropes,
      weights: this.#weights,
      values: this.values,
      ops: this.ops,
    }
  }

  #typeOf(parts: Parts, use: MatrixUse): WeightType {
    const { weightType } = this.options
    return typeof weightType === 'function' ? weightType(Object.keys(parts), use) : weightType
  }

  #declare(
    role: Weight['role'],
    parts: Parts,
    { columns, offset, type }: { columns?: number; offset?: number; type: WeightType },
  ): Weight {
    const tail = columns === undefined ? [] : [columns]
    const sources = Object.entries(parts).flatMap(([name, part]) => sourcesOf(name, part, tail))
    const total = sources.reduce((sum, source) => sum + source.rows, 0)
    const shape = [total, ...tail]
    return this.declare({ role, type, shape, sources, offset })
  }

  /** Declares a weight as it is described. The same again is the same weight. */
  declare(described: Omit<Weight, 'id'>): Weight {
    const { sources } = described
    const weight = { id: this.#weights.length, ...described }
    const known = this.#weightOfSource.get(keyOf(sources[0]))
    if (known && sameWeight(known, weight)) return known
    const taken = sources.find((source) => this.#weightOfSource.has(keyOf(source)))
    if (taken) throw refusal(`weight ${taken.name} is declared twice, differently`)
    for (const source of sources) this.#weightOfSource.set(keyOf(source), weight)
    this.#weights.push(weight)
    return weight
  }

  /** Whether rows of the matrix were looked up: a head that multiplies it is tied to a table. */
  protected isTable(weight: Weight): boolean {
    return this.ops.some((op) => op.kind === 'embed' && op.weight === weight)
  }

  /** How many experts the routes give each token. */
  protected routesOf(check: Checker, routes: Value): number {
    check.known(routes)
    const op = this.ops.find((op) => op.kind === 'route' && op.out === routes)
    if (op?.kind !== 'route') throw refusal(`${check.name}: value %${routes.id} has no routes`)
    return op.topK
  }

  protected heads(check: Checker, { group, layer, heads }: HeadOptions) {
    const cache = this.tokenCache(check, group, layer)
    const grouped = heads % cache.kvHeads === 0
    check.that(grouped, `${heads} heads cannot share ${cache.kvHeads} key/value heads equally`)
    return { group, layer, heads, kvHeads: cache.kvHeads, headDim: cache.keyDim }
  }

  /** Notes that an op writes a layer of the cache; only one may. */
  protected markStored(check: Checker, group: number, layer: number): void {
    const slot = `${group}/${layer}`
    check.that(!this.storedLayers.has(slot), `layer ${layer} of the cache is written twice`)
    this.storedLayers.add(slot)
  }

  protected tokenCache(check: Checker, group: number, layer: number): TokenGroup {
    const cache = this.caches[group]
    if (!cache) throw refusal(`${check.name}: there is no cache group ${group}`)
    if (cache.kind === 'state') throw refusal(`${check.name}: cache ${cache.name} keeps no tokens`)
    const inside = layer >= 0 && layer < cache.layers
    check.that(inside, `cache ${cache.name} has ${cache.layers} layers, no layer ${layer}`)
    return cache
  }

  protected checker(kind: Op['kind'], label: string): Checker {
    const check = new Checker(`${kind} ${label}`, this.values)
    check.that(!this.#labels.has(label), 'the label is used twice')
    this.#labels.add(label)
    return check
  }

  protected value(rows: Rows, cols: number): Value {
    const value = { id: this.values.length, rows, cols }
    this.values.push(value)
    return value
  }

  protected record(op: Extract<Op, { out: Value }>): Value {
    this.ops.push(op)
    return op.out
  }
}

/** What no two weights may share: a tensor, or a part of one. */
function keyOf(source: WeightSource | undefined): string {
  return `${source?.name} ${JSON.stringify(source?.view)}`
}

function sameWeight(a: Weight, b: Weight): boolean {
  const keyOf = ({ role, sources, offset }: Weight) => JSON.stringify([role, sources, offset])
  return keyOf(a) === keyOf(b)
}
