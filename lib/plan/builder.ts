import type {
  ActivationOptions,
  AttentionOptions,
  ExpertLinearOptions,
  HeadOptions,
  LatentOptions,
  LinearWeights,
  NormOptions,
  RouteOptions,
  ShortConvOptions,
  StoreOptions,
} from './builder-options.js'
import { colsOf, nameOf, refusal, rowsOf, type Checker } from './checker.js'
import type { Routing, Value, Weight } from './ops.js'
import type { Place } from './rank-ops.js'
import { PlanRecorder } from './recorder.js'

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
export class PlanBuilder extends PlanRecorder {
  /** `firstRow`: the table has a rank's rows, from that one on. */
  embed(label: string, weight: Weight, scale = 1, firstRow?: number): Value {
    const check = this.checker('embed', label)
    const { vocabSize } = this.options
    check.matrix(weight)
    if (firstRow === undefined)
      check.equal('weight has', rowsOf(weight), 'rows, the vocabulary', vocabSize)
    const end = (firstRow ?? 0) + rowsOf(weight)
    check.that(end <= vocabSize, `row ${end - 1} is beyond the vocabulary of ${vocabSize}`)
    const out = this.value('T', colsOf(weight))
    return this.record({ kind: 'embed', label, weight, scale, firstRow, out })
  }

  /** The rows of a table of positions; the first position is row `offset`. */
  embedPositions(label: string, weight: Weight, offset = 0): Value {
    this.checker('embed', label).matrix(weight)
    const out = this.value('T', colsOf(weight))
    return this.record({ kind: 'embed', label, weight, scale: 1, positionOffset: offset, out })
  }

  norm(label: string, input: Value, options: NormOptions): Value {
    const check = this.checker('norm', label)
    check.known(input)
    const { residual, weight, bias } = options
    if (residual) {
      check.known(residual)
      check.that(residual !== input, 'input and residual are the same value')
      check.equal('input has', input.rows, 'rows, residual', residual.rows)
      check.equal('input has', input.cols, 'columns, residual', residual.cols)
    }
    for (const vector of [weight, bias]) if (vector) check.vector(vector, input.cols)
    const out = this.value(input.rows, input.cols)
    return this.record({ kind: 'norm', label, ...options, input, out })
  }

  linear(label: string, input: Value, { weight, bias }: LinearWeights): Value {
    const check = this.checker('linear', label)
    check.known(input)
    check.matrix(weight)
    check.equal('input has', input.cols, 'columns, weight wants', colsOf(weight))
    if (bias) check.vector(bias, rowsOf(weight))
    const out = this.value(input.rows, rowsOf(weight))
    const rounds = this.options.roundsInputs === true && weight.type === 'bfloat16'
    const inputs = rounds ? 'bfloat16' : undefined
    this.record({ kind: 'linear', label, input, weight, bias, inputs, out })
    if (this.options.adapts === true && !this.isTable(weight))
      this.#adapt(label, input, weight, out)
    return out
  }

  #adapt(label: string, input: Value, weight: Weight, target: Value): void {
    const named = `${label}.adapter`
    this.checker('adapt', named)
    this.ops.push({ kind: 'adapt', label: named, input, target, weight })
  }

  ropeStoreKv(label: string, input: Value, options: HeadOptions & StoreOptions): Value {
    const check = this.checker('ropeStoreKv', label)
    const head = this.heads(check, options)
    check.tokens(input)
    const wanted = (head.heads + 2 * head.kvHeads) * head.headDim
    check.equal('input has', input.cols, 'columns, q, k and v take', wanted)
    const { rope, qkNorm, rankSums, clip, growth } = options
    if (qkNorm) check.qkNorm(qkNorm, head)
    if (rankSums) check.rankSums(rankSums, qkNorm)
    if (rope) check.that(rope.dim <= head.headDim, `rope turns ${rope.dim} of ${head.headDim}`)
    const cache = this.tokenCache(check, head.group, head.layer)
    check.that(!cache.latent, `cache ${cache.name} is latent`)
    check.equal('keys have', cache.keyDim, 'columns a head, values', cache.valueDim)
    this.markStored(check, head.group, head.layer)
    const out = this.value('T', head.heads * head.headDim)
    const given = { rope, qkNorm, rankSums, clip, growth }
    return this.record({ kind: 'ropeStoreKv', label, input, ...given, ...head, out })
  }

  pagedAttention(label: string, input: Value, options: HeadOptions & AttentionOptions): Value {
    const check = this.checker('pagedAttention', label)
    const head = this.heads(check, options)
    check.tokens(input)
    check.equal('input has', input.cols, 'columns, the heads take', head.heads * head.headDim)
    const written = this.storedLayers.has(`${head.group}/${head.layer}`)
    check.that(written, `layer ${head.layer} of the cache is read before it is written`)
    const { scale, window, softcap, slopes, sinks } = options
    const cache = this.tokenCache(check, head.group, head.layer)
    const kept = cache.kind === 'full' || (window !== undefined && window <= cache.window)
    check.that(kept, `cache ${cache.name} keeps fewer tokens than are attended to`)
    if (slopes) check.equal('slopes are', slopes.length, 'numbers, heads', head.heads)
    if (sinks) check.vector(sinks, head.heads)
    const out = this.value('T', head.heads * cache.valueDim)
    const rounds =
      this.options.roundsInputs === true && cache.type === 'bfloat16' && cache.latent !== true
    const inputs = rounds ? ('bfloat16' as const) : undefined
    const given = { scale, window, softcap, slopes, sinks, inputs }
    return this.record({ kind: 'pagedAttention', label, input, ...head, ...given, out })
  }

  activation(
    label: string,
    input: Value,
    { activation, gated, parts = 1, parameters }: ActivationOptions,
  ): Value {
    const check = this.checker('activation', label)
    check.known(input)
    const whole = input.cols % parts === 0
    check.that(whole, `input has ${input.cols} columns, no ${parts} equal parts`)
    const columns = input.cols / parts
    if (gated) check.that(columns % 2 === 0, `gated input has ${columns} columns, an odd number`)
    check.that(gated || activation !== 'clampedSwiglu', 'clampedSwiglu wants a gate')
    check.that(activation !== 'xielu' || !!parameters, 'xielu has no parameters')
    if (parameters) check.vector(parameters, XIELU_PARAMETERS)
    const out = this.value(input.rows, gated ? input.cols / 2 : input.cols)
    const given = { activation, gated, parts, parameters }
    return this.record({ kind: 'activation', label, ...given, input, out })
  }

  /** Chooses each token's experts by the logits of all, one column an expert. */
  route(label: string, input: Value, options: Partial<Routing> & RouteOptions): Value {
    const check = this.checker('route', label)
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
    const out = this.value('T', 2 * topK)
    return this.record({ kind: 'route', label, experts, ...routing, input, out })
  }

  /** A linear op for each of a token's experts; `split`: each has its own part of the input. */
  expertLinear(label: string, input: Value, routes: Value, options: ExpertLinearOptions): Value {
    const check = this.checker('expertLinear', label)
    const { weights, biases = [], split } = options
    const topK = this.routesOf(check, routes)
    check.tokens(input)
    const [rows, columns] = this.#shapeOf(check, weights)
    const wanted = columns * (split ? topK : 1)
    check.equal('input has', input.cols, 'columns, the experts want', wanted)
    const complete = biases.length === 0 || biases.length === weights.length
    check.that(complete, `${biases.length} biases for ${weights.length} experts`)
    for (const bias of biases) check.vector(bias, rows)
    const out = this.value('T', topK * rows)
    const given = { topK, split, weights, biases }
    return this.record({ kind: 'expertLinear', label, ...given, input, routes, out })
  }

  /** Adds up what a token's experts gave, and what experts gave that every token passes. */
  combineExperts(
    label: string,
    input: Value,
    routes: Value,
    { shared, gate }: { shared?: Value; gate?: Value } = {},
  ): Value {
    const check = this.checker('combineExperts', label)
    const topK = this.routesOf(check, routes)
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
    const out = this.value('T', columns)
    const given = { topK, input, routes, shared, gate, out }
    return this.record({ kind: 'combineExperts', label, ...given })
  }

  /** A matrix for each of so many parts that a row begins with. */
  headLinear(label: string, input: Value, weights: readonly Weight[]): Value {
    const check = this.checker('headLinear', label)
    check.tokens(input)
    const [rows, columns] = this.#shapeOf(check, weights)
    const wanted = weights.length * columns
    check.that(input.cols >= wanted, `input has ${input.cols} columns, the heads want ${wanted}`)
    const out = this.value('T', weights.length * rows)
    return this.record({ kind: 'headLinear', label, input, weights, out })
  }

  /** Writes latent rows to the cache and gives the queries for them: `input` and the end of `positions`. */
  storeLatent(label: string, input: Value, options: LatentOptions): Value {
    const check = this.checker('storeLatent', label)
    const { positions, latent, rope, weight, eps, group, layer, heads } = options
    const cache = this.tokenCache(check, group, layer)
    const turned = cache.keyDim - cache.valueDim
    check.that(!!cache.latent && cache.kvHeads === 1, `cache ${cache.name} is not latent`)
    for (const value of [input, positions, latent]) check.tokens(value)
    check.equal('input has', input.cols, 'columns, the heads take', heads * cache.valueDim)
    check.that(positions.cols >= heads * turned, `positions has ${positions.cols} columns`)
    check.equal('latent has', latent.cols, 'columns, the cache', cache.keyDim)
    check.equal('rope turns', rope.dim, 'columns, the cache has', turned)
    check.vector(weight, cache.valueDim)
    this.markStored(check, group, layer)
    const out = this.value('T', heads * cache.keyDim)
    const given = { positions, latent, rope, weight, eps, group, layer, heads }
    return this.record({ kind: 'storeLatent', label, input, ...given, out })
  }

  /** A causal convolution of `width` tokens over `b × x`, times c; the input is `[b | c | x]`. */
  shortConv(label: string, input: Value, options: ShortConvOptions): Value {
    const check = this.checker('shortConv', label)
    const { weight, bias, width, group, layer } = options
    check.tokens(input)
    check.that(input.cols % 3 === 0, `input has ${input.cols} columns, no three equal parts`)
    const columns = input.cols / 3
    const cache = this.caches[group]
    if (cache?.kind !== 'state') throw refusal(`${check.name}: cache group ${group} is no state`)
    check.equal('the state has', cache.elements, 'numbers, wanted are', (width - 1) * columns)
    check.vector(weight, columns * width)
    if (bias) check.vector(bias, columns)
    this.markStored(check, group, layer)
    const out = this.value('T', columns)
    const given = { weight, bias, width, group, layer }
    return this.record({ kind: 'shortConv', label, input, ...given, out })
  }

  scale(
    label: string,
    input: Value,
    { factor = 1, cap }: { factor?: number; cap?: number },
  ): Value {
    this.checker('scale', label).known(input)
    const out = this.value(input.rows, input.cols)
    return this.record({ kind: 'scale', label, factor, cap, input, out })
  }

  add(label: string, input: Value, other: Value): Value {
    const check = this.checker('add', label)
    check.known(input)
    check.known(other)
    check.equal('input has', input.rows, 'rows, the other', other.rows)
    check.equal('input has', input.cols, 'columns, the other', other.cols)
    const out = this.value(input.rows, input.cols)
    return this.record({ kind: 'add', label, input, other, out })
  }

  /** Sums of squares of the parts that a row begins with, of so many columns each. */
  sumSquares(label: string, input: Value, parts: readonly number[]): Value {
    const check = this.checker('sumSquares', label)
    check.known(input)
    const wanted = parts.reduce((sum, columns) => sum + columns, 0)
    check.that(wanted <= input.cols, `input has ${input.cols} columns, the parts want ${wanted}`)
    const out = this.value(input.rows, parts.length)
    return this.record({ kind: 'sumSquares', label, parts, input, out })
  }

  /** The sum of the values that the ranks have. */
  allReduce(label: string, input: Value): Value {
    const check = this.checker('allReduce', label)
    check.known(input)
    this.#placeOf(check)
    const out = this.value(input.rows, input.cols)
    return this.record({ kind: 'allReduce', label, input, out })
  }

  /** The values of the ranks side by side, which have so many columns. */
  allGather(label: string, input: Value, columns: readonly number[]): Value {
    const check = this.checker('allGather', label)
    check.known(input)
    const { rank, ranks } = this.#placeOf(check)
    check.equal('columns are', columns.length, 'numbers, the ranks', ranks)
    check.equal('input has', input.cols, 'columns, wanted are', columns[rank])
    const out = this.value(
      input.rows,
      columns.reduce((sum, count) => sum + count, 0),
    )
    return this.record({ kind: 'allGather', label, columns, input, out })
  }

  gatherRows(label: string, input: Value): Value {
    this.checker('gatherRows', label).tokens(input)
    const out = this.value('R', input.cols)
    return this.record({ kind: 'gatherRows', label, input, out })
  }

  /** Offers the rows of a value to requests that want a prompt's hidden states in one row. */
  pool(label: string, input: Value): void {
    this.checker('pool', label).tokens(input)
    this.ops.push({ kind: 'pool', label, input })
  }

  sample(label: string, input: Value): void {
    const check = this.checker('sample', label)
    check.known(input)
    check.equal('input has', input.rows, 'rows, sampling wants', 'R')
    check.equal('input has', input.cols, 'columns, the vocabulary', this.options.vocabSize)
    this.ops.push({ kind: 'sample', label, input })
  }

  #placeOf(check: Checker): Place {
    const { place } = this.options
    if (!place) throw refusal(`${check.name}: the plan is of no rank`)
    return place
  }

  /** Rows and columns of matrices that are all alike. */
  #shapeOf(check: Checker, weights: readonly Weight[]): readonly [number, number] {
    const [first] = weights
    if (!first) throw refusal(`${check.name}: there are no matrices`)
    for (const weight of weights) {
      check.matrix(weight)
      check.equal(`${nameOf(weight)} is of`, weight.type, 'the first of', first.type)
      check.equal(`${nameOf(weight)} is`, weight.shape.join(), 'the first is', first.shape.join())
    }
    return [rowsOf(first), colsOf(first)]
  }
}
