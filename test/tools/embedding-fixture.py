"""Writes test/fixtures/embeddings.json: the last hidden states of tiny models, pooled, by transformers.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    /tmp/venv/bin/python test/tools/embedding-fixture.py

The prompts are those of the models' reference outputs. Each row is the mean of the hidden states of a
prompt's tokens, or the last one, behind the final norm, not scaled to length 1.
"""

import base64
import json
from pathlib import Path

import torch
import transformers

FIXTURES = Path(__file__).parent.parent / "fixtures"
MODELS = ("llama", "gemma3", "opt")


def floats(tensor):
    return base64.b64encode(tensor.float().contiguous().numpy().tobytes()).decode()


def pooled(name):
    folder = FIXTURES / "models" / name
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for prompt in json.loads((folder / "reference.json").read_text())["prompts"]:
        with torch.no_grad():
            # The last entry of `hidden_states` has passed the final norm.
            states = model(torch.tensor([prompt]), output_hidden_states=True).hidden_states[-1][0]
        rows.append({"mean": floats(states.double().mean(0)), "last": floats(states[-1])})
    return rows


versions = {"transformers": transformers.__version__, "torch": torch.__version__}
result = {**versions, "models": {name: pooled(name) for name in MODELS}}
(FIXTURES / "embeddings.json").write_text(json.dumps(result, indent=1) + "\n")
