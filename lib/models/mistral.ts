import type { ModelFamily } from './family.js'
import { recordLlama } from './llama.js'

/** A Llama whose layers, or some of them, see a window. */
export const mistral: ModelFamily = {
  title: 'Mistral, Ministral',
  architectures: ['MistralForCausalLM', 'MinistralForCausalLM'],
  defaults: { sliding_window: 4096 },
  record: (g, c) => recordLlama(g, c),
}
