/** The text files of a Hugging Face folder, made from the metadata of a Llama GGUF: name → contents. */
export function modelFiles(metadata) {
  return {
    'config.json': toJson(config(metadata)),
    'generation_config.json': toJson(specialTokenIds(metadata)),
    'tokenizer.json': toJson(tokenizer(metadata)),
    'tokenizer_config.json': toJson(tokenizerConfig(metadata)),
    'chat_template.jinja': metadata['tokenizer.chat_template'],
  }
}

function toJson(value) {
  return `${JSON.stringify(value, null, 2)}\n`
}

function config(metadata) {
  const get = (key) => metadata[`llama.${key}`]
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    attention_bias: false,
    mlp_bias: false,
    ...specialTokenIds(metadata),
    head_dim: get('embedding_length') / get('attention.head_count'),
    hidden_act: 'silu',
    hidden_size: get('embedding_length'),
    intermediate_size: get('feed_forward_length'),
    max_position_embeddings: get('context_length'),
    num_attention_heads: get('attention.head_count'),
    num_hidden_layers: get('block_count'),
    num_key_value_heads: get('attention.head_count_kv'),
    rms_norm_eps: Number(get('attention.layer_norm_rms_epsilon').toPrecision(7)), // stored as float32
    rope_scaling: null,
    rope_theta: get('rope.freq_base'),
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    vocab_size: get('vocab_size'),
  }
}

function specialTokenIds(metadata) {
  return {
    bos_token_id: metadata['tokenizer.ggml.bos_token_id'],
    eos_token_id: metadata['tokenizer.ggml.eos_token_id'],
    pad_token_id: metadata['tokenizer.ggml.padding_token_id'],
  }
}

const controlToken = 3 // of tokenizer.ggml.token_type

function tokenizer(metadata) {
  const preTokenizer = metadata['tokenizer.ggml.pre']
  if (preTokenizer !== 'smollm') throw new Error(`pre-tokenizer ${preTokenizer} is not known`)
  const tokens = metadata['tokenizer.ggml.tokens']
  const types = metadata['tokenizer.ggml.token_type']
  const byteLevel = { type: 'ByteLevel', trim_offsets: true, use_regex: true }
  const digits = { type: 'Digits', individual_digits: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokens.map(addedToken).filter(({ id }) => types[id] === controlToken),
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [digits, { ...byteLevel, add_prefix_space: false }],
    },
    post_processor: null,
    decoder: { ...byteLevel, add_prefix_space: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: metadata['tokenizer.ggml.merges'].map((merge) => merge.split(' ')),
    },
  }
}

function addedToken(content, id) {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
  return { id, content, ...flags, special: true }
}

function tokenizerConfig(metadata) {
  const token = (name) => metadata['tokenizer.ggml.tokens'][metadata[`tokenizer.ggml.${name}`]]
  return {
    bos_token: token('bos_token_id'),
    eos_token: token('eos_token_id'),
    pad_token: token('padding_token_id'),
    unk_token: token('unknown_token_id'),
    additional_special_tokens: [token('bos_token_id'), token('eos_token_id')],
    model_max_length: metadata['llama.context_length'],
    clean_up_tokenization_spaces: false,
    add_prefix_space: false,
    tokenizer_class: 'GPT2Tokenizer',
    chat_template: metadata['tokenizer.chat_template'],
  }
}
