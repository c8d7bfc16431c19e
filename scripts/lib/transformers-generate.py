"""python3 transformers-generate.py [small]

Times transformers' generate on a model of the benchmark's shape with made-up weights, decoding 1 and 64 sequences behind
1,024 tokens, and prints a line of JSON, as scripts/gpu-check wants it. Without a GPU only `small` makes sense.
"""

import json
import sys
import time

import torch
import transformers

small = "small" in sys.argv[1:]
device = "cuda" if torch.cuda.is_available() else "cpu"
context, tokens, sizes = (1024, 64, [1, 64]) if not small else (12, 3, [1, 2])
config = transformers.LlamaConfig(
    hidden_size=64 if small else 4096,
    intermediate_size=96 if small else 14336,
    num_hidden_layers=2 if small else 32,
    num_attention_heads=4 if small else 32,
    num_key_value_heads=1 if small else 8,
    vocab_size=300 if small else 128256,
    max_position_embeddings=8192,
    rope_theta=500000.0,
)


def seconds(model, sequences, new_tokens):
    ids = torch.randint(0, config.vocab_size, (sequences, context), device=device)
    options = dict(max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False, pad_token_id=0)
    if device == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


with torch.device(device), torch.inference_mode():
    torch.set_default_dtype(torch.bfloat16)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    figures = {}
    for sequences in sizes:
        seconds(model, sequences, 2)  # kernels are loaded
        # The prompt's time is in both.
        taken = seconds(model, sequences, 1 + tokens) - seconds(model, sequences, 1)
        figures[f"{sequences} sequences: tokens/s"] = float(f"{sequences * tokens / taken:.6g}")

versions = f"transformers {transformers.__version__}, torch {torch.__version__}, {device}"
print(json.dumps({"check": "bench transformers", "failure": None, "versions": versions, "figures": figures}))
