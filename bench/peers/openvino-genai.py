"""python openvino-genai.py MODEL.gguf CASE_AS_JSON: a case of cases.mjs on OpenVINO GenAI's continuous
batching. One JSON line."""
import json
import os
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai

from openvino_settings import cpu_properties

model = sys.argv[1]
case = json.loads(sys.argv[2])
kind, sequences, output_length = case["kind"], case["sequences"], case["outputLength"]


def prompt(seed):
    if kind == "load":
        return case["text"]
    ids = [1000 + ((i * 7919 + seed * 104729) % 40000) for i in range(case["inputLength"])]
    return ov.Tensor(np.array([ids], dtype=np.int64))


scheduler = genai.SchedulerConfig()
scheduler.cache_size = 2
scheduler.max_num_batched_tokens = 512
scheduler.max_num_seqs = 256
scheduler.enable_prefix_caching = False
pipeline = genai.ContinuousBatchingPipeline(model, scheduler, "CPU", cpu_properties())

sampling = genai.GenerationConfig()
sampling.max_new_tokens = sampling.min_new_tokens = output_length
sampling.ignore_eos = True
sampling.do_sample = False

handles = [pipeline.add_request(i, prompt(i + 1), sampling) for i in range(sequences)]
began = time.perf_counter()
first = None
while pipeline.has_non_finished_requests():
    pipeline.step()
    if first is None and handles[0].can_read():
        first = time.perf_counter() - began
seconds = time.perf_counter() - began
made = sum(len(output.generated_ids) for handle in handles for output in handle.read_all())
if kind == "load":
    value = time.time() * 1000 - float(os.environ["BENCH_STARTED"])
elif made < sequences * output_length:
    sys.exit(f"only {made} tokens were made")
elif kind == "prefill":
    value = case["inputLength"] / seconds
elif kind == "context":
    value = (made - sequences) / (seconds - first)
else:
    value = made / seconds
print(json.dumps({"case": case["name"], "value": value}))
