"""Writes a small Llama as GGUF files, one an element type, with the PyPI package gguf.

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
}
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


def gguf_name(name):
    stem, ending = name.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{ending}"
    _, _, layer, place = stem.split(".", 3)
    return f"blk.{layer}.{PLACES[place]}.{ending}"


def in_pairs(rows, heads):
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def write(config, tensors, path, kind):
    writer = gguf.GGUFWriter(path, "llama")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    for name, values in tensors:
        if ".q_proj." in name:
            values = in_pairs(values, heads)
        if ".k_proj." in name:
            values = in_pairs(values, kv_heads)
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), values)
        else:
            stored = gguf.quants.quantize(values, kind)
            writer.add_tensor(gguf_name(name), stored, raw_dtype=kind)
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
