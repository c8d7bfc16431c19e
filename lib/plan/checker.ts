import { EngineError } from '../errors.js'
import type { PagedAttentionOp, QkNorm, Value, Weight } from './ops.js'
import type { RankSums } from './rank-ops.js'

export type Heads = Pick<PagedAttentionOp, 'heads' | 'kvHeads' | 'headDim'>

/** The conditions of one op; a refusal begins with the op's kind and label. */
export class Checker {
  readonly #values: readonly Value[]

  constructor(
    readonly name: string,
    values: readonly Value[],
  ) {
    this.#values = values
  }

  that(condition: boolean, otherwise: string): void {
    if (!condition) throw refusal(`${this.name}: ${otherwise}`)
  }

  equal(before: string, found: unknown, between: string, wanted: unknown): void {
    this.that(found === wanted, `${before} ${String(found)} ${between} ${String(wanted)}`)
  }

  known(value: Value): void {
    this.that(this.#values[value.id] === value, `value %${value.id} is not of this plan`)
  }

  tokens(value: Value): void {
    this.known(value)
    this.equal('input has', value.rows, 'rows, the op wants', 'T')
  }

  matrix(weight: Weight): void {
    this.that(weight.role === 'matrix', `${nameOf(weight)} is a vector, not a matrix`)
  }

  qkNorm({ over, qWeight, kWeight, qBias, kBias }: QkNorm, head: Heads): void {
    const all = { q: head.heads * head.headDim, k: head.kvHeads * head.headDim }
    const check = (vector: Weight | undefined, length: number) => {
      const shared = over === 'head' && vector && rowsOf(vector) === head.headDim
      if (vector) this.vector(vector, shared ? head.headDim : length)
    }
    for (const vector of [qWeight, qBias]) check(vector, all.q)
    for (const vector of [kWeight, kBias]) check(vector, all.k)
  }

  rankSums({ squares }: RankSums, qkNorm?: QkNorm): void {
    this.tokens(squares)
    this.equal('the sums have', squares.cols, 'columns, wanted are', 2)
    const wanted = qkNorm?.norm === 'rms' && qkNorm.over === 'all' && !qkNorm.afterRope
    this.that(wanted, 'sums are for an rms norm over all heads before the rotation')
  }

  vector(weight: Weight, length: number): void {
    this.that(weight.role === 'vector', `${nameOf(weight)} is a matrix, not a vector`)
    this.equal(`${nameOf(weight)} has`, rowsOf(weight), 'elements, wanted are', length)
  }
}

export function refusal(message: string): EngineError {
  return new EngineError('unsupported_model', message)
}

export function nameOf(weight: Weight): string {
  return weight.sources.map((source) => source.name).join(' + ')
}

export function rowsOf(weight: Weight): number {
  return weight.shape[0] ?? 0
}

export function colsOf(weight: Weight): number {
  return weight.shape[1] ?? 0
}
