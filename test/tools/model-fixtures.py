"""Writes tiny random models and their reference outputs, in the layout of test/fixtures/models.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    /tmp/venv/bin/python test/tools/model-fixtures.py test/fixtures/models [NAME ...]

Weights are random bfloat16 numbers; the reference computes with them in float32 on the CPU.
"""

import base64
import json
import sys
from pathlib import Path

import torch
import transformers
from model_fixture_cases import CASES

COMMON = dict(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=256,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
PROMPT_LENGTHS = (1, 7, 37)
NEW_TOKENS = 24
# Another order of float32 sums must not change a greedy token: seeds are tried until the gap of the
# two best logits is never smaller.
SMALLEST_MARGIN = 5e-3


def randomise(model, seed):
    """Spreads the weights so that every part of the model matters to the logits."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("alpha_p") or name.endswith("alpha_n"):
            value = 0.3 * noise
        elif tensor.dim() > 1 and "norm" not in name:
            value = noise * 1.5 / tensor.shape[-1] ** 0.5
        elif "norm" in name.lower() or ".ln_" in name:
            value = tensor.data + 0.3 * noise
        else:
            value = 0.3 * noise
        tensor.data = value.bfloat16().float()


def floats(tensor):
    return base64.b64encode(tensor.float().contiguous().numpy().tobytes()).decode()


def greedy(model, prompt):
    """One whole forward pass a token: nothing depends on how a cache was filled."""
    ids, margin = list(prompt), float("inf")
    for _ in range(NEW_TOKENS):
        best = model(torch.tensor([ids])).logits[0, -1].topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt) :], margin


def write(root, name, architecture, options):
    for seed in range(20):
        model, reference = make(architecture, options, seed)
        if reference["margin"] > SMALLEST_MARGIN:
            break
    folder = Path(root) / name
    model.bfloat16().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}, indent=2))
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    print(f"{name}: seed {seed}, margin {reference['margin']:.4f}", flush=True)


def make(architecture, options, seed):
    # EXAONE 3 is Llama's class with a config of its own.
    model_class = getattr(transformers, architecture, transformers.LlamaForCausalLM)
    config_class = getattr(transformers, architecture.replace("ForCausalLM", "Config"), None)
    config_class = config_class or model_class.config_class
    given = {key: value for key, value in {**COMMON, **options}.items() if value is not ...}
    # The plain implementation, but where it adds ALiBi to the scores and to the mask.
    attention = "sdpa" if given.get("alibi") else "eager"
    config = config_class(**given)
    model = model_class._from_config(config, attn_implementation=attention).eval()
    randomise(model, seed)
    return model, reference_of(model, architecture)


def reference_of(model, architecture):
    vocabulary = model.config.vocab_size
    generator = torch.Generator().manual_seed(11)
    draw = lambda n: torch.randint(3, vocabulary, (n,), generator=generator).tolist()
    prompts = [draw(length) for length in PROMPT_LENGTHS]
    with torch.no_grad():
        rows = [model(torch.tensor([prompt])).logits[0] for prompt in prompts]
        outputs = [greedy(model, prompt) for prompt in prompts]
    return {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "class": architecture,
        "prompts": prompts,
        "next_logits": [floats(row[-1]) for row in rows],
        "greedy": [tokens for tokens, _ in outputs],
        "all_logits": floats(rows[-1]),
        "margin": min(margin for _, margin in outputs),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case, (architecture, options) in CASES.items():
        if not sys.argv[2:] or case in sys.argv[2:]:
            write(sys.argv[1], case, architecture, options)
