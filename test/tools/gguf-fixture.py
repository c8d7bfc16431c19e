"""Writes a small model as GGUF files, one an element type, with the PyPI package gguf.

    python3 -m venv /tmp/gguf && /tmp/gguf/bin/pip install gguf==0.19.0 numpy
    /tmp/gguf/bin/python test/tools/gguf-fixture.py MODEL_FOLDER OUT_FOLDER TYPE...

MODEL_FOLDER holds config.json and a bfloat16 model.safetensors. Rows of q and k are put in pairs, as
llama.cpp's converter does.
"""

import json
import pathlib
import sys

import gguf
import numpy as np

PLACES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up",
}
# Families with norms behind attention and feed-forward layer.
POST = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
ARCHITECTURES = {"gemma3_text": "gemma3"}
PAIRED = {"llama", "smollm3"}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        words = np.frombuffer(data[8 + length + begin : 8 + length + end], dtype=np.uint16)
        yield name, (words.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def gguf_name(name, architecture):
    stem, ending = name.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{ending}"
    _, _, layer, place = stem.split(".", 3)
    places = PLACES | POST if architecture in ("gemma2", "gemma3", "olmo2") else PLACES
    return f"blk.{layer}.{places[place]}.{ending}"


def in_pairs(rows, heads):
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def write(config, tensors, path, kind):
    architecture = ARCHITECTURES.get(config["model_type"], config["model_type"])
    writer = gguf.GGUFWriter(path, architecture)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    ropes = config.get("rope_parameters") or config
    writer.add_rope_freq_base(ropes.get("full_attention", ropes)["rope_theta"])
    if config.get("sliding_window"):
        writer.add_sliding_window(config["sliding_window"])
    if config.get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    for name, values in tensors:
        if ".q_proj." in name and architecture in PAIRED:
            values = in_pairs(values, heads)
        if ".k_proj." in name and architecture in PAIRED:
            values = in_pairs(values, kv_heads)
        if name.endswith("norm.weight") and architecture.startswith("gemma"):
            values = values + 1
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name, architecture), values)
        else:
            stored = gguf.quants.quantize(values, kind)
            writer.add_tensor(gguf_name(name, architecture), stored, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main(model, out, kinds):
    folder = pathlib.Path(model)
    config = json.loads((folder / "config.json").read_text())
    tensors = list(read_safetensors(folder / "model.safetensors"))
    for kind in kinds:
        path = pathlib.Path(out) / f"{kind}.gguf"
        write(config, tensors, path, gguf.GGMLQuantizationType[kind])
        print(path)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
