"""Writes a model of test/fixtures/models as a GGUF file of an element type, with the PyPI package gguf.

    python3 -m venv /tmp/gguf && /tmp/gguf/bin/pip install gguf==0.19.0 numpy
    /tmp/gguf/bin/python test/tools/gguf-fixture.py MODEL_FOLDER ARCHITECTURE TYPE OUT.gguf [split]

Names are those of the package's own map. As llama.cpp's converter does, rows of q and k are put in
pairs, experts are stacked, and with `split` latent attention's matrix of keys and values is two.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

PAIRED = {"llama", "smollm3", "granite", "granitemoe", "olmo"}
# What older configs call a field.
OLDER = {
    **{"hidden_size": ("n_embd", "d_model", "n_embed"), "num_hidden_layers": ("n_layer", "n_layers")},
    **{"num_attention_heads": ("n_head", "n_heads"), "max_position_embeddings": ("n_positions", "max_seq_len")},
    **{"intermediate_size": ("n_inner", "ffn_hidden_size")},
}


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        stored = data[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "F32":
            values = np.frombuffer(stored, dtype=np.float32)
        else:
            values = (np.frombuffer(stored, dtype=np.uint16).astype(np.uint32) << 16).view(np.float32)
        yield name, values.reshape(entry["shape"])


def in_pairs(rows, heads):
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def write_metadata(writer, config, architecture, split):
    """Each value by the method of the writer, where the config has it."""

    def add(method, *names):
        value = next((config[name] for name in names if config.get(name) is not None), None)
        if value is not None:
            getattr(writer, f"add_{method}")(value)

    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    ropes = config.get("rope_parameters") or config
    ropes = ropes.get("full_attention", ropes)
    attention = config.get("attn_config") or {}
    add("block_count", "num_hidden_layers")
    add("context_length", "max_position_embeddings")
    add("embedding_length", "hidden_size")
    add("feed_forward_length", "intermediate_size")
    add("head_count", "num_attention_heads")
    add("layer_norm_rms_eps", "rms_norm_eps")
    add("layer_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
    add("logit_scale", "logit_scale")
    add("parallel_residual", "use_parallel_residual")
    clip = attention.get("clip_qkv") or config.get("clip_qkv")
    if clip:
        writer.add_clamp_kqv(clip)
    if "alibi_bias_max" in attention:
        writer.add_max_alibi_bias(attention["alibi_bias_max"])
    partial = ropes.get("partial_rotary_factor") or config.get("partial_rotary_factor")
    if partial:
        writer.add_rope_dimension_count(int(head_dim * partial))
    add("sliding_window", "sliding_window")
    add("attn_logit_softcapping", "attn_logit_softcapping")
    add("final_logit_softcapping", "final_logit_softcapping")
    add("bos_token_id", "bos_token_id")
    add("eos_token_id", "eos_token_id")
    add("expert_count", "num_experts", "num_local_experts", "n_routed_experts")
    add("expert_used_count", "num_experts_per_tok")
    inner = "intermediate_size" if architecture == "gpt-oss" else "moe_intermediate_size"
    add("expert_feed_forward_length", inner)
    add("expert_shared_feed_forward_length", "shared_expert_intermediate_size")
    add("embedding_scale", "embedding_multiplier")
    add("residual_scale", "residual_multiplier")
    add("attention_scale", "attention_multiplier")
    add("logit_scale", "logits_scaling")
    theta = ropes.get("rope_theta", 10000.0)
    writer.add_rope_freq_base(theta * ropes.get("alpha", 1.0) ** (head_dim / (head_dim - 2)))
    scaling = config.get("rope_scaling") or ropes
    if scaling.get("rope_type", scaling.get("type")) == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(scaling["factor"])
        writer.add_rope_scaling_orig_ctx_len(scaling["original_max_position_embeddings"])
        if scaling.get("mscale_all_dim"):
            writer.add_rope_scaling_yarn_log_mul(0.1 * scaling["mscale_all_dim"])
    if architecture == "deepseek2":
        return write_latent_metadata(writer, config, add, split)
    writer.add_head_count_kv(key_heads(config))
    writer.add_key_length(head_dim)


def key_heads(config):
    if config["model_type"] in ("gpt_neox", "bloom"):
        return config["num_attention_heads"]
    if config.get("new_decoder_architecture"):
        return config["num_kv_heads"]
    if config.get("multi_query"):
        return 1
    return config.get("num_key_value_heads") or config["num_attention_heads"]


def write_latent_metadata(writer, config, add, split):
    rank, turned = config["kv_lora_rank"], config["qk_rope_head_dim"]
    key = config["qk_nope_head_dim"] + turned
    for method, name in {
        **{"rope_dimension_count": "qk_rope_head_dim", "kv_lora_rank": "kv_lora_rank"},
        **{"q_lora_rank": "q_lora_rank", "leading_dense_block_count": "first_k_dense_replace"},
        **{"expert_shared_count": "n_shared_experts", "expert_weights_norm": "norm_topk_prob"},
        **{"expert_weights_scale": "routed_scaling_factor", "expert_group_count": "n_group"},
        "expert_group_used_count": "topk_group",
    }.items():
        add(method, name)
    kinds = gguf.ExpertGatingFuncType
    is_v3 = config["model_type"] == "deepseek_v3"
    writer.add_expert_gating_func(kinds.SIGMOID if is_v3 else kinds.SOFTMAX)
    writer.add_head_count_kv(1 if split else config["num_attention_heads"])
    writer.add_key_length(rank + turned if split else key)
    writer.add_value_length(rank if split else config["v_head_dim"])
    if split:
        writer.add_key_length_mla(key)
        writer.add_value_length_mla(config["v_head_dim"])


def apart(rows, config):
    """Rows of a fused tensor that has q, k and v in turn for each key head: all of q, of k, of v."""
    heads, kv_heads = config["num_attention_heads"], key_heads(config)
    dim = rows.shape[0] // (heads + 2 * kv_heads)
    groups = rows.reshape(kv_heads, heads // kv_heads + 2, dim, *rows.shape[1:])
    parts = (groups[:, :-2], groups[:, -2], groups[:, -1])
    return np.concatenate([part.reshape(-1, *rows.shape[1:]) for part in parts])


def converted(name, values, config, architecture, split):
    """What a tensor becomes: names, still the checkpoint's or already the file's, and values."""
    heads = config["num_attention_heads"]
    block = f"blk.{name.split('.')[2]}" if ".layers." in name else ""
    if architecture in PAIRED and ".q_proj." in name:
        values = in_pairs(values, heads)
    if architecture in PAIRED and ".k_proj." in name:
        values = in_pairs(values, config["num_key_value_heads"])
    if name.endswith("norm.weight") and architecture.startswith(("gemma", "nemotron")):
        values = values + 1
    if architecture == "gpt2" and values.ndim == 2 and ".c_" in name:
        values = values.T
    if "query_key_value" in name:
        values = apart(values, config)
    if "_layernorm.norms." in name:
        name = name.replace("_layernorm.norms.", "_layernorm.experts.")
    if architecture == "gpt-oss" and ".experts." in name:
        ending = "bias" if name.endswith("_bias") else "weight"
        rows = values if ending == "bias" else values.swapaxes(1, 2)
        if "down_proj" in name:
            return [(f"{block}.ffn_down_exps.{ending}", rows)]
        parts = (("gate", rows[:, 0::2]), ("up", rows[:, 1::2]))
        return [(f"{block}.ffn_{part}_exps.{ending}", half) for part, half in parts]
    if name.endswith("input_linear.weight"):
        halves = zip(("gate", "up"), np.split(values, 2, axis=1))
        return [(f"{block}.ffn_{part}_exps.weight", half) for part, half in halves]
    if split and ".kv_b_proj." in name:
        still = config["qk_nope_head_dim"]
        both = values.reshape(heads, still + config["v_head_dim"], -1)
        keys, rest = both[:, :still].swapaxes(1, 2), both[:, still:]
        return [(f"{block}.attn_k_b.weight", keys), (f"{block}.attn_v_b.weight", rest)]
    if name.endswith(".sinks"):
        return [(f"{block}.attn_sinks.weight", values)]
    if name.endswith("e_score_correction_bias"):
        return [(f"{block}.exp_probs_b.bias", values)]
    return [(name, values)]


def stacked(tensors):
    """`X.experts.N.Y` of all N become one `X.experts.Y`; of norms, `X.Y`."""
    stacks = {}
    for name, values in tensors:
        head, _, rest = name.partition(".experts.")
        number, _, tail = rest.partition(".")
        if number.isdigit():
            stacks.setdefault(f"{head}.experts.{tail}", {})[int(number)] = values
        else:
            yield name, values
    for name, all_values in stacks.items():
        name = name.replace("_layernorm.experts.", "_layernorm.")
        yield name, np.stack([all_values[i] for i in range(len(all_values))])


def main(model, architecture, kind, path, split=""):
    folder = pathlib.Path(model)
    config = json.loads((folder / "config.json").read_text())
    for name, older in OLDER.items():
        found = [config[key] for key in (*older, name) if config.get(key)]
        config[name] = found[0] if found else 4 * config["hidden_size"]
    if architecture in ("bloom", "falcon") and not config.get("seq_length"):
        config.setdefault("max_position_embeddings", 2048)
    writer = gguf.GGUFWriter(path, architecture)
    write_metadata(writer, config, architecture, bool(split))
    names = gguf.get_tensor_name_map(
        {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[architecture],
        config["num_hidden_layers"],
    )
    tensors = (
        part
        for name, values in read_safetensors(folder / "model.safetensors")
        for part in converted(name, values, config, architecture, bool(split))
    )
    for name, values in stacked(tensors):
        known = name.startswith("blk.")
        if not known:
            both = (name, name.removeprefix("transformer."))
            name = next(filter(None, (names.get_name(one, (".weight", ".bias")) for one in both)))
        values = np.ascontiguousarray(values.squeeze())
        stored_as = gguf.GGMLQuantizationType[kind]
        whole = values.shape[-1] % gguf.GGML_QUANT_SIZES[stored_as][0] == 0
        plain = values.ndim == 1 or name.endswith(".bias") or "ffn_gate_inp" in name or not whole
        only_experts = kind == "MXFP4" and "exps" not in name
        if plain or only_experts:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, stored_as), raw_dtype=stored_as)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:])
