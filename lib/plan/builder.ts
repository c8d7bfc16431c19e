import type {
  MatrixUse,
  PlanBuilderOptions,
  Parts,
  ModuleParts,
  ModuleOptions,
  LinearWeights,
  NormOptions,
  HeadOptions,
  StoreOptions,
  AttentionOptions,
  ActivationOptions,
  RouteOptions,
  ExpertLinearOptions,
} from './builder-options.js'
import { Checker, colsOf, nameOf, refusal, rowsOf } from './checker.js'
import { groupLayers, type CacheSlot, type LayerCache } from './layer-groups.js'
import { partOf, sourcesOf, type ModulePart, type Part } from './tensor-rows.js'
import type {
  CacheGroup,
  FullGroup,
  Op,
  Plan,
  Rope,
  Routing,
  Rows,
  StateGroup,
  TokenGroup,
  Value,
  Weight,
  WeightSource,
  WeightType,
} from './ops.js'

const PLAIN_ROUTING: Omit<Routing, 'topK'> = {
  score: 'softmax',
  renormalise: false,
  scale: 1,
  groups: 1,
  topGroups: 1,
  groupScore: 'best',
}
const XIELU_PARAMETERS = 4

export type * from './builder-options.js'

/**
 * Records a model, one method an op. It infers every shape, declares the weights that ops name, and
 * refuses a mismatch with an EngineError `unsupported_model` that names the op's label.
 *
 * @example
 * const g = new PlanBuilder({ name: 'toy', vocabSize: 256, weightType: 'float32', cacheType: 'float32' })
 * const table = g.matrix({ 'embed.weight': 256 }, 64)
 * const x = g.embed('embed', table)
 * g.sample('sample', g.linear('head', g.gatherRows('gather', x), { weight: table }))
 * const plan = g.build()
 */
export class PlanBuilder {
  readonly #options: PlanBuilderOptions
  readonly #caches: CacheGroup[] = []
  readonly #ropes: Rope[] = []
  readonly #weights: Weight[] = []
  readonly #values: Value[] = []
  readonly #ops: Op[] = []
  readonly #labels = new Set<string>()
  readonly #weightOfSource = new Map<string, Weight>()
  readonly #storedLayers = new Set<string>()

  constructor(options: PlanBuilderOptions) {
    this.#options = options
  }

  /** Declares a matrix `[sum of the parts' rows, cols]`. The same parts again give the same weight. */
  matrix(parts: Parts, cols: number): Weight {
    return this.#declare('matrix', parts, { columns: cols, type: this.#typeOf(parts, 'linear') })
  }

  /** Declares the matrix of token embeddings; a tied head multiplies with the same weight. */
  table(parts: Parts, cols: number): Weight {
    return this.#declare('matrix', parts, { columns: cols, type: this.#typeOf(parts, 'table') })
  }

  /** Declares a float32 vector made of the parts one after the other, `offset` added to each element. */
  vector(parts: Parts, { offset }: { offset?: number } = {}): Weight {
    const added = this.#options.addsOffsets === false ? undefined : offset
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
    return this.#caches.push({ ...group, kind: 'full', type: this.#options.cacheType }) - 1
  }

  /**
   * Declares the cache of each layer: groups for all that are alike, of about equal size, since all
   * draw blocks of equal bytes from one pool. Gives each layer's place.
   */
  layerCaches(layers: readonly LayerCache[]): readonly CacheSlot[] {
    const type = this.#options.cacheType
    const { groups, slots } = groupLayers(layers, type)
    const first = this.#caches.length
    this.#caches.push(...groups)
    return slots.map(({ group, layer }) => ({ group: first + group, layer }))
  }

  /** Declares a group of states, one row of so many numbers a sequence and layer, and returns its number. */
  stateCache(group: Omit<StateGroup, 'kind'>): number {
    return this.#caches.push({ ...group, kind: 'state' }) - 1
  }

  /** Declares a rotary embedding; an equal one is declared once. */
  rope(rope: Omit<Rope, 'id'>): Rope {
    const key = JSON.stringify(rope)
    const known = this.#ropes.find(({ id: _, ...other }) => JSON.stringify(other) === key)
    if (known) return known
    const declared = { id: this.#ropes.length, ...rope }
    this.#ropes.push(declared)
    return declared
  }

  embed(label: string, weight: Weight, scale = 1): Value {
    const check = this.#checker('embed', label)
    check.matrix(weight)
    check.equal('weight has', rowsOf(weight), 'rows, the vocabulary', this.#options.vocabSize)
    const out = this.#value('T', colsOf(weight))
    return this.#record({ kind: 'embed', label, weight, scale, out })
  }

  /** The rows of a table of positions; the first position is row `offset`. */
  embedPositions(label: string, weight: Weight, offset = 0): Value {
    this.#checker('embed', label).matrix(weight)
    const out = this.#value('T', colsOf(weight))
    return this.#record({ kind: 'embed', label, weight, scale: 1, positionOffset: offset, out })
  }

  norm(label: string, input: Value, options: NormOptions): Value {
    const check = this.#checker('norm', label)
    check.known(input)
    const { residual, weight, bias } = options
    if (residual) {
      check.known(residual)
      check.that(residual !== input, 'input and residual are the same value')
      check.equal('input has', input.rows, 'rows, residual', residual.rows)
      check.equal('input has', input.cols, 'columns, residual', residual.cols)
    }
    for (const vector of [weight, bias]) if (vector) check.vector(vector, input.cols)
    const out = this.#value(input.rows, input.cols)
    return this.#record({ kind: 'norm', label, ...options, input, out })
  }

  linear(label: string, input: Value, { weight, bias }: LinearWeights): Value {
    const check = this.#checker('linear', label)
    check.known(input)
    check.matrix(weight)
    check.equal('input has', input.cols, 'columns, weight wants', colsOf(weight))
    if (bias) check.vector(bias, rowsOf(weight))
    const out = this.#value(input.rows, rowsOf(weight))
    return this.#record({ kind: 'linear', label, input, weight, bias, out })
  }

  ropeStoreKv(label: string, input: Value, options: HeadOptions & StoreOptions): Value {
    const check = this.#checker('ropeStoreKv', label)
    const head = this.#heads(check, options)
    check.tokens(input)
    const wanted = (head.heads + 2 * head.kvHeads) * head.headDim
    check.equal('input has', input.cols, 'columns, q, k and v take', wanted)
    const { rope, qkNorm, clip } = options
    if (qkNorm) check.qkNorm(qkNorm, head)
    if (rope) check.that(rope.dim <= head.headDim, `rope turns ${rope.dim} of ${head.headDim}`)
    const slot = `${head.group}/${head.layer}`
    check.that(!this.#storedLayers.has(slot), `layer ${head.layer} of the cache is written twice`)
    this.#storedLayers.add(slot)
    const out = this.#value('T', head.heads * head.headDim)
    return this.#record({ kind: 'ropeStoreKv', label, input, rope, qkNorm, clip, ...head, out })
  }

  pagedAttention(label: string, input: Value, options: HeadOptions & AttentionOptions): Value {
    const check = this.#checker('pagedAttention', label)
    const head = this.#heads(check, options)
    check.tokens(input)
    check.equal('input has', input.cols, 'columns, the heads take', head.heads * head.headDim)
    const written = this.#storedLayers.has(`${head.group}/${head.layer}`)
    check.that(written, `layer ${head.layer} of the cache is read before it is written`)
    const { scale, window, softcap, slopes, sinks } = options
    const cache = this.#tokenCache(check, head.group, head.layer)
    const kept = cache.kind === 'full' || (window !== undefined && window <= cache.window)
    check.that(kept, `cache ${cache.name} keeps fewer tokens than are attended to`)
    if (slopes) check.equal('slopes are', slopes.length, 'numbers, heads', head.heads)
    if (sinks) check.vector(sinks, head.heads)
    const out = this.#value('T', input.cols)
    const given = { scale, window, softcap, slopes, sinks }
    return this.#record({ kind: 'pagedAttention', label, input, ...head, ...given, out })
  }

  activation(
    label: string,
    input: Value,
    { activation, gated, parts = 1, parameters }: ActivationOptions,
  ): Value {
    const check = this.#checker('activation', label)
    check.known(input)
    const whole = input.cols % parts === 0
    check.that(whole, `input has ${input.cols} columns, no ${parts} equal parts`)
    const columns = input.cols / parts
    if (gated) check.that(columns % 2 === 0, `gated input has ${columns} columns, an odd number`)
    check.that(gated || activation !== 'clampedSwiglu', 'clampedSwiglu wants a gate')
    check.that(activation !== 'xielu' || !!parameters, 'xielu has no parameters')
    if (parameters) check.vector(parameters, XIELU_PARAMETERS)
    const out = this.#value(input.rows, gated ? input.cols / 2 : input.cols)
    const given = { activation, gated, parts, parameters }
    return this.#record({ kind: 'activation', label, ...given, input, out })
  }

  /** Chooses each token's experts by the logits of all, one column an expert. */
  route(label: string, input: Value, options: Partial<Routing> & RouteOptions): Value {
    const check = this.#checker('route', label)
    check.tokens(input)
    const experts = input.cols
    const routing = { ...PLAIN_ROUTING, ...options }
    const { topK, groups, topGroups, bias } = routing
    check.that(experts % groups === 0, `${experts} experts do not form ${groups} equal groups`)
    const choice = (experts / groups) * topGroups
    check.that(topGroups <= groups, `${topGroups} of ${groups} groups are chosen`)
    check.that(topK <= choice, `${topK} experts are chosen of ${choice}`)
    const pairs = routing.groupScore === 'best' || experts / groups > 1
    check.that(pairs, 'a group has one expert, its score wants two')
    if (bias) check.vector(bias, experts)
    const out = this.#value('T', 2 * topK)
    return this.#record({ kind: 'route', label, experts, ...routing, input, out })
  }

  /** A linear op for each of a token's experts; `split`: each has its own part of the input. */
  expertLinear(label: string, input: Value, routes: Value, options: ExpertLinearOptions): Value {
    const check = this.#checker('expertLinear', label)
    const { weights, biases = [], split } = options
    const topK = this.#routesOf(check, routes)
    check.tokens(input)
    const [first] = weights
    if (!first) throw refusal(`${check.name}: there are no experts`)
    const rows = rowsOf(first)
    const columns = colsOf(first) * (split ? topK : 1)
    check.equal('input has', input.cols, 'columns, the experts want', columns)
    for (const weight of weights) {
      check.matrix(weight)
      check.equal(`${nameOf(weight)} is`, weight.shape.join(), 'the first is', first.shape.join())
    }
    const complete = biases.length === 0 || biases.length === weights.length
    check.that(complete, `${biases.length} biases for ${weights.length} experts`)
    for (const bias of biases) check.vector(bias, rows)
    const out = this.#value('T', topK * rows)
    const given = { topK, split, weights, biases }
    return this.#record({ kind: 'expertLinear', label, ...given, input, routes, out })
  }

  /** Adds up what a token's experts gave, and what experts gave that every token passes. */
  combineExperts(
    label: string,
    input: Value,
    routes: Value,
    { shared, gate }: { shared?: Value; gate?: Value } = {},
  ): Value {
    const check = this.#checker('combineExperts', label)
    const topK = this.#routesOf(check, routes)
    check.tokens(input)
    check.that(input.cols % topK === 0, `input has ${input.cols} columns, no ${topK} equal parts`)
    const columns = input.cols / topK
    if (shared) {
      check.tokens(shared)
      check.equal('shared has', shared.cols, 'columns, a part', columns)
    }
    if (gate) {
      check.tokens(gate)
      check.that(
        !!shared && gate.cols === 1,
        'a gate has one column and stands beside a shared part',
      )
    }
    const out = this.#value('T', columns)
    const given = { topK, input, routes, shared, gate, out }
    return this.#record({ kind: 'combineExperts', label, ...given })
  }

  scale(
    label: string,
    input: Value,
    { factor = 1, cap }: { factor?: number; cap?: number },
  ): Value {
    this.#checker('scale', label).known(input)
    const out = this.#value(input.rows, input.cols)
    return this.#record({ kind: 'scale', label, factor, cap, input, out })
  }

  add(label: string, input: Value, other: Value): Value {
    const check = this.#checker('add', label)
    check.known(input)
    check.known(other)
    check.equal('input has', input.rows, 'rows, the other', other.rows)
    check.equal('input has', input.cols, 'columns, the other', other.cols)
    const out = this.#value(input.rows, input.cols)
    return this.#record({ kind: 'add', label, input, other, out })
  }

  gatherRows(label: string, input: Value): Value {
    this.#checker('gatherRows', label).tokens(input)
    const out = this.#value('R', input.cols)
    return this.#record({ kind: 'gatherRows', label, input, out })
  }

  sample(label: string, input: Value): void {
    const check = this.#checker('sample', label)
    check.known(input)
    check.equal('input has', input.rows, 'rows, sampling wants', 'R')
    check.equal('input has', input.cols, 'columns, the vocabulary', this.#options.vocabSize)
    this.#ops.push({ kind: 'sample', label, input })
  }

  /** The recorded plan. Every cache layer that was declared must have been written. */
  build(): Plan {
    this.#caches.forEach((group, index) => {
      for (let layer = 0; layer < group.layers; layer++)
        if (!this.#storedLayers.has(`${index}/${layer}`))
          throw refusal(`cache ${group.name}: no op writes layer ${layer} of ${group.layers}`)
    })
    return {
      name: this.#options.name,
      vocabSize: this.#options.vocabSize,
      caches: this.#caches,
      ropes: this.#ropes,
      weights: this.#weights,
      values: this.#values,
      ops: this.#ops,
    }
  }

  #typeOf(parts: Parts, use: MatrixUse): WeightType {
    const { weightType } = this.#options
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
    const weight = { id: this.#weights.length, role, type, shape, sources, offset }
    const known = this.#weightOfSource.get(keyOf(sources[0]))
    if (known && sameWeight(known, weight)) return known
    const taken = sources.find((source) => this.#weightOfSource.has(keyOf(source)))
    if (taken) throw refusal(`weight ${taken.name} is declared twice, differently`)
    for (const source of sources) this.#weightOfSource.set(keyOf(source), weight)
    this.#weights.push(weight)
    return weight
  }

  /** How many experts the routes give each token. */
  #routesOf(check: Checker, routes: Value): number {
    check.known(routes)
    const op = this.#ops.find((op) => op.kind === 'route' && op.out === routes)
    if (op?.kind !== 'route') throw refusal(`${check.name}: value %${routes.id} has no routes`)
    return op.topK
  }

  #heads(check: Checker, { group, layer, heads }: HeadOptions) {
    const cache = this.#tokenCache(check, group, layer)
    check.equal('keys have', cache.keyDim, 'columns a head, values', cache.valueDim)
    const grouped = heads % cache.kvHeads === 0
    check.that(grouped, `${heads} heads cannot share ${cache.kvHeads} key/value heads equally`)
    return { group, layer, heads, kvHeads: cache.kvHeads, headDim: cache.keyDim }
  }

  #tokenCache(check: Checker, group: number, layer: number): TokenGroup {
    const cache = this.#caches[group]
    if (!cache) throw refusal(`${check.name}: there is no cache group ${group}`)
    if (cache.kind === 'state') throw refusal(`${check.name}: cache ${cache.name} keeps no tokens`)
    const inside = layer >= 0 && layer < cache.layers
    check.that(inside, `cache ${cache.name} has ${cache.layers} layers, no layer ${layer}`)
    return cache
  }

  #checker(kind: Op['kind'], label: string): Checker {
    const check = new Checker(`${kind} ${label}`, this.#values)
    check.that(!this.#labels.has(label), 'the label is used twice')
    this.#labels.add(label)
    return check
  }

  #value(rows: Rows, cols: number): Value {
    const value = { id: this.#values.length, rows, cols }
    this.#values.push(value)
    return value
  }

  #record(op: Exclude<Op, { kind: 'sample' }>): Value {
    this.#ops.push(op)
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
