import type { HeadOptions, LinearWeights, ModuleParts, PlanBuilder } from '../plan/builder.js'
import type { CacheSlot, TokenLayer } from '../plan/layer-groups.js'
import type { NormKind, Rope, Value, Weight } from '../plan/ops.js'
import type { ModelConfig } from './config.js'
import { ropeOf } from './rope.js'
import { layerWindows, type Sight } from './windows.js'

/** What all norms of a model have in common. */
export interface NormStyle {
  readonly norm: NormKind
  readonly bias?: boolean
  /** False where nothing is learned. */
  readonly gain?: boolean
  /** Added to the stored gains. */
  readonly offset?: number
}

export interface Layer extends Sight, CacheSlot {
  readonly index: number
  /** The module of the checkpoint, such as `model.layers.3`. */
  readonly path: string
}

/**
 * Records a decoder: the residual stream, to which each block adds, and what stands before and after
 * its layers. What was added last waits for the next norm, which adds and normalises in one op.
 *
 * @example
 * const d = new Decoder(g, c)
 * d.embed('model.embed_tokens')
 * for (const layer of d.layers('model.layers')) {
 *   d.add(attention(d, layer, d.norm(`${layer.path}.input_layernorm`)))
 *   d.add(gatedMlp(d, layer, d.norm(`${layer.path}.post_attention_layernorm`)))
 * }
 * d.norm('model.norm')
 */
export class Decoder {
  readonly #style: NormStyle
  #table: Weight | undefined
  #stream: Value | undefined
  #waiting: Value | undefined

  constructor(
    readonly g: PlanBuilder,
    readonly c: ModelConfig,
    style: NormStyle = { norm: 'rms' },
  ) {
    this.#style = style
  }

  /** The rope of layers that see all tokens; `local`: of those with a window. */
  rope({ local = false, interleaved = false } = {}): Rope {
    const rope = ropeOf(local ? this.c.localRope : this.c.rope)
    return this.g.rope(interleaved ? { ...rope, interleaved } : rope)
  }

  /** The layers in the module `path`; those without `layer_types` have a window by `isWindowed`. */
  layers(
    path: string,
    isWindowed: (index: number) => boolean = () => true,
    cache: TokenLayer = headsCache(this.c),
  ): readonly Layer[] {
    const sights = layerWindows(this.c, isWindowed)
    const slots = this.g.layerCaches(sights.map(({ window }) => ({ ...cache, window })))
    return sights.map((sight, index) => ({
      ...{ index, path: `${path}.${index}` },
      ...sight,
      ...slots[index]!,
    }))
  }

  /** Begins the stream with the tokens' embeddings. */
  embed(name: string, { scale = 1, columns = this.c.hiddenSize } = {}): Value {
    this.#table = this.g.table({ [`${name}.weight`]: this.c.vocabSize }, columns)
    return (this.#stream = this.g.embed(name, this.#table, scale))
  }

  /** Adds to the stream, the product with `factor` if there is one. */
  add(x: Value, { factor = 1, label = '' } = {}): void {
    const part = factor === 1 ? x : this.g.scale(label, x, { factor })
    this.#waiting = this.#waiting ? this.g.add(`add.${part.id}`, this.#waiting, part) : part
  }

  /** The stream with all that was added. */
  stream(): Value {
    if (this.#waiting)
      this.#stream = this.g.add(`add.${this.#waiting.id}`, this.#current, this.#waiting)
    this.#waiting = undefined
    return this.#current
  }

  /** Goes on with another stream. */
  replace(stream: Value): void {
    this.#stream = stream
    this.#waiting = undefined
  }

  /** The stream, with all that was added, normalised by the module `path`. */
  norm(path: string): Value {
    const input = this.#waiting ?? this.#current
    const residual = this.#waiting && this.#current
    this.#waiting = undefined
    return this.g.norm(path, input, { ...this.#normOf(path, input.cols), residual })
  }

  /** A value normalised by the module `path`. */
  normOf(path: string, x: Value): Value {
    return this.g.norm(path, x, this.#normOf(path, x.cols))
  }

  /** The modules' output for x; several are one product. */
  linear(
    label: string,
    x: Value,
    parent: string,
    parts: ModuleParts,
    { bias = false, transposed = false } = {},
  ): Value {
    return this.g.linear(
      label,
      x,
      this.g.modules(parent, parts, { columns: x.cols, bias, transposed }),
    )
  }

  /** Logits of the rows that are drawn from, and the draw; before them, the pooling of x. */
  finish(x: Value, { name = 'lm_head', bias = false, factor = 1, cap }: OutputOptions = {}): void {
    const { g } = this
    if (g.pools) g.pool('pool', x)
    const rows = g.gatherRows('gather', x)
    const logits = g.linear(name, rows, this.#head(name, rows.cols, bias))
    const bent = factor !== 1 || cap !== undefined
    g.sample('sample', bent ? g.scale('logits', logits, { factor, cap }) : logits)
  }

  /** Where the keys and values of a layer are. */
  heads({ group, layer }: Layer): HeadOptions {
    return { group, layer, heads: this.c.heads }
  }

  get #current(): Value {
    if (!this.#stream) throw new Error('the decoder has no stream yet')
    return this.#stream
  }

  #head(name: string, columns: number, bias: boolean): LinearWeights {
    const { g, c } = this
    const untied = () => g.matrix({ [`${name}.weight`]: c.vocabSize }, columns)
    const weight = c.tiedEmbeddings && this.#table ? this.#table : untied()
    return { weight, bias: bias ? g.vector({ [`${name}.bias`]: c.vocabSize }) : undefined }
  }

  #normOf(path: string, columns: number) {
    const { norm, bias = false, gain = true, offset } = this.#style
    const vector = (name: string, given = {}) =>
      this.g.vector({ [`${path}.${name}`]: columns }, given)
    return {
      norm,
      eps: this.c.normEps,
      weight: gain ? vector('weight', { offset }) : undefined,
      bias: bias ? vector('bias') : undefined,
    }
  }
}

export interface OutputOptions {
  /** The module, where it is not the table of embeddings. */
  readonly name?: string
  readonly bias?: boolean
  /** Multiplies the logits. */
  readonly factor?: number
  /** Logits are bent to within ± this. */
  readonly cap?: number
}

/** Keys and values of each kv head. */
export function headsCache({ kvHeads, headDim }: ModelConfig): TokenLayer {
  return { kvHeads, keyDim: headDim, valueDim: headDim }
}
