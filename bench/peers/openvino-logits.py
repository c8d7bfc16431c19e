"""python openvino-logits.py MODEL.gguf TEXT.json: writes the logits of each position of a text (accuracy.mjs) in
float32 to file descriptor 3. The model is the one that OpenVINO GenAI makes of the GGUF file, saved and
run by OpenVINO's CPU plugin: GenAI's own pipelines give no logits."""
import json
import os
import sys
import tempfile

import numpy as np
import openvino as ov
import openvino_genai as genai

from openvino_settings import cpu_properties

source, text = sys.argv[1:3]
with tempfile.TemporaryDirectory() as folder:
    linked = os.path.join(folder, "model.gguf")
    os.symlink(os.path.abspath(source), linked)
    genai.LLMPipeline(linked, "CPU", enable_save_ov_model=True, **cpu_properties())
    model = ov.Core().compile_model(os.path.join(folder, "openvino_model.xml"), "CPU", cpu_properties())
    request = model.create_infer_request()

with open(text) as file:
    chunks = json.load(file)
with os.fdopen(3, "wb") as out:
    for chunk in chunks:
        length = len(chunk) - 1
        request.reset_state()
        found = request.infer(
            {
                "input_ids": np.array([chunk[:length]], dtype=np.int64),
                "attention_mask": np.ones((1, length), dtype=np.int64),
                "position_ids": np.arange(length, dtype=np.int64)[None],
                "beam_idx": np.zeros(1, dtype=np.int32),
            }
        )
        out.write(np.ascontiguousarray(found["logits"][0], dtype=np.float32).tobytes())
