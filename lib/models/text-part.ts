import { isObject } from './fields.js'

/** Models that see pictures too, whose text part is a model of its own when it is given text alone. */
const WITH_TEXT_PART: ReadonlySet<string> = new Set([
  ...['AyaVisionForConditionalGeneration', 'Cohere2VisionForConditionalGeneration'],
  ...['Gemma3ForConditionalGeneration', 'Mistral3ForConditionalGeneration'],
  ...['LlavaForConditionalGeneration', 'LlavaNextForConditionalGeneration'],
])

/** The architecture of a text part by its `model_type`. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  cohere2: 'Cohere2ForCausalLM',
  gemma3_text: 'Gemma3ForCausalLM',
  llama: 'LlamaForCausalLM',
  ministral3: 'Ministral3ForCausalLM',
  mistral: 'MistralForCausalLM',
  qwen2: 'Qwen2ForCausalLM',
  qwen3: 'Qwen3ForCausalLM',
}

/** What the whole model says for its text part too; a head is tied as it says. */
const SHARED = ['dtype', 'torch_dtype', 'bos_token_id', 'eos_token_id']
const DECIDED = ['tie_word_embeddings', 'quantization_config']

/** A parsed config.json, or that of its text part where it is of a model that has one. */
export function textConfig(json: unknown): unknown {
  const part = textPartOf(json)
  if (part === null || !isObject(json)) return json
  const among = (names: readonly string[], from: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(names.filter((name) => from[name] != null).map((name) => [name, from[name]]))
  const shared = { ...among(SHARED, json), ...among(SHARED, part), ...among(DECIDED, json) }
  const architecture = ARCHITECTURES[String(part.model_type)] ?? String(part.model_type)
  return { ...part, ...shared, architectures: [architecture] }
}

/** The architectures of models with a text part. */
export const architecturesWithText: readonly string[] = [...WITH_TEXT_PART]

/**
 * What a tensor of the checkpoint is called in the model that is loaded: that of a text part has no
 * prefix. Null: it is no part of it, as tensors that see pictures, or layers behind the last one, which
 * guess further tokens.
 */
export function textTensorName(json: unknown, name: string): string | null {
  if (textPartOf(json) !== null) {
    return textPartName(name) ?? (name === 'lm_head.weight' ? name : null)
  }
  return isPredicting(json, name) ? null : name
}

/** What a tensor of a text part is called in the model that it is by itself; null for a name of no text part. */
export function textPartName(name: string): string | null {
  const [, inner] = /^(?:model\.)?language_model\.(.*)/.exec(name) ?? []
  if (inner === undefined) return null
  return /^(model|lm_head)\./.test(inner) ? inner : `model.${inner}`
}

function isPredicting(json: unknown, name: string): boolean {
  if (!isObject(json) || !Number(json.num_nextn_predict_layers)) return false
  const [, layer] = /^model\.layers\.(\d+)\./.exec(name) ?? []
  return name.startsWith('model.mtp_') || Number(layer) >= Number(json.num_hidden_layers)
}

function textPartOf(json: unknown): Readonly<Record<string, unknown>> | null {
  if (!isObject(json) || !Array.isArray(json.architectures)) return null
  const known = WITH_TEXT_PART.has(String(json.architectures[0]))
  return known && isObject(json.text_config) ? json.text_config : null
}
