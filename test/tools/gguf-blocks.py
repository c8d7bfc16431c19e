"""Writes random blocks of each GGUF element type and what the PyPI package gguf makes of them.

    python3 -m venv /tmp/gguf && /tmp/gguf/bin/pip install gguf==0.19.0 numpy
    /tmp/gguf/bin/python test/tools/gguf-blocks.py test/fixtures/gguf/blocks.json

Any bytes are a block; only the float16 scales are chosen, small numbers of both signs.
"""

import base64
import json
import sys

import gguf
import numpy as np

ROWS = 3
# Where the float16 scales of a block stand.
SCALES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
    "MXFP4": [],
}


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def blocks(kind, places, random):
    numbers, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    columns = max(numbers, 64)
    data = random.integers(0, 256, (ROWS * columns // numbers, size), dtype=np.uint8)
    for place in places:
        scales = random.normal(0, 0.01, len(data)).astype(np.float16)
        data[:, place : place + 2] = scales.view(np.uint8).reshape(-1, 2)
    if kind == "MXFP4":
        data[:, 0] = random.integers(110, 140, len(data))
    data = data.reshape(ROWS, -1)
    wanted = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[kind])
    return {
        "shape": [ROWS, columns],
        "blocks": text(data),
        "numbers": text(wanted.astype(np.float32)),
    }


random = np.random.default_rng(1)
fixture = {kind: blocks(kind, places, random) for kind, places in SCALES.items()}
with open(sys.argv[1], "w") as file:
    json.dump(fixture, file, indent=1)
    file.write("\n")
