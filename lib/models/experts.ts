import { EngineError } from '../errors.js'
import type { Parts, PlanBuilder } from '../plan/builder.js'
import type { ActivationKind, Routing, Value, Weight } from '../plan/ops.js'
import { gatedMlp } from './blocks.js'
import type { Decoder, Layer } from './decoder.js'

/** A layer's mixture of experts, each with a gated feed-forward layer. */
export interface Experts {
  /** The module in the layer. Default mlp. */
  readonly name?: string
  /** The router in it. Default gate. */
  readonly router?: string
  readonly routerBias?: boolean
  readonly count: number
  /** Columns of an expert's gate. */
  readonly inner: number
  readonly routing: Partial<Routing> & Pick<Routing, 'topK'>
  /** Added to the scores to choose by: a vector for the module. */
  readonly choiceBias?: (module: string) => Parts
  /** The tensors of one expert. Default: modules gate_proj, up_proj and down_proj of its own. */
  readonly tensors?: (module: string, expert: number) => ExpertTensors
  /** Default: the model's. */
  readonly activation?: ActivationKind
  /** What experts that every token passes make of the layer's input. */
  readonly shared?: SharedExperts
}

export interface ExpertTensors {
  /** Rows of the gate, then of the up projection. */
  readonly up: Parts
  readonly down: Parts
  readonly upBias?: Parts
  readonly downBias?: Parts
}

export interface SharedExperts {
  /** The module in the experts' module. */
  readonly name: string
  readonly inner: number
  /** A module of one row whose logit says how much they count. */
  readonly gate?: string
}

/** A plan has a matrix of each: a config with a slip must not fill the memory. */
const MOST_EXPERTS = 2 ** 14

/** The experts of each token for x, and their sum. */
export function experts(d: Decoder, layer: Layer, x: Value, options: Experts): Value {
  const { g, c } = d
  if (options.count > MOST_EXPERTS)
    throw new EngineError(
      'unsupported_model',
      `${c.options.where}: ${options.count} experts are not supported, at most ${MOST_EXPERTS} are`,
    )
  const { name = 'mlp', router = 'gate', routerBias = false, count, routing } = options
  const path = `${layer.path}.${name}`
  const logits = d.linear(`${path}.${router}`, x, path, { [router]: count }, { bias: routerBias })
  const bias = options.choiceBias && g.vector(options.choiceBias(path))
  const routes = g.route(`${path}.routes`, logits, { ...routing, bias })
  const { inner, tensors = separateExperts(d, inner), activation = c.activation } = options
  const all = Array.from({ length: count }, (_, expert) => tensors(path, expert))
  const up = { ...weightsOf(g, all, 'up', x.cols), split: false }
  const gateUp = g.expertLinear(`${path}.experts.up`, x, routes, up)
  const active = { activation, gated: true, parts: routing.topK }
  const hidden = g.activation(`${path}.experts.act`, gateUp, active)
  const down = { ...weightsOf(g, all, 'down', inner), split: true }
  const parts = g.expertLinear(`${path}.experts.down`, hidden, routes, down)
  const shared = options.shared && sharedExperts(d, layer, x, path, options.shared)
  return g.combineExperts(`${path}.sum`, parts, routes, shared)
}

/** Experts with modules of their own in `experts`, with these names. */
export function separateExperts(
  { c }: Decoder,
  inner: number,
  [gate, up, down]: readonly [gate: string, up: string, down: string] = [
    'gate_proj',
    'up_proj',
    'down_proj',
  ],
  { bias = false }: { readonly bias?: boolean } = {},
): (module: string, expert: number) => ExpertTensors {
  return (module, expert) => {
    const tensors = (ending: string) => {
      const tensor = (name: string) => `${module}.experts.${expert}.${name}.${ending}`
      return {
        up: { [tensor(gate)]: inner, [tensor(up)]: inner },
        down: { [tensor(down)]: c.hiddenSize },
      }
    }
    const biases = tensors('bias')
    return { ...tensors('weight'), ...(bias && { upBias: biases.up, downBias: biases.down }) }
  }
}

/** Whether a family that stacks its experts has them in modules of their own, as GGUF files are read. */
export function hasSeparateExperts({ c }: Decoder): boolean {
  return c.options.flag('separate_experts', false)
}

function weightsOf(
  g: PlanBuilder,
  all: readonly ExpertTensors[],
  name: 'up' | 'down',
  columns: number,
): { weights: readonly Weight[]; biases: readonly Weight[] } {
  return {
    weights: all.map((tensors) => g.matrix(tensors[name], columns)),
    biases: all.flatMap(({ [`${name}Bias` as const]: bias }) => (bias ? [g.vector(bias)] : [])),
  }
}

function sharedExperts(
  d: Decoder,
  layer: Layer,
  x: Value,
  path: string,
  { name, inner, gate }: SharedExperts,
) {
  const module = path.slice(layer.path.length + 1)
  const up = { gate_proj: inner, up_proj: inner }
  return {
    shared: gatedMlp(d, layer, x, { name: `${module}.${name}`, up }),
    gate: gate === undefined ? undefined : d.linear(`${path}.${gate}`, x, path, { [gate]: 1 }),
  }
}
