"""python openvino-genai.py MODEL.gguf CASE: the cases of bench/engine.mjs on OpenVINO GenAI's
continuous batching. One JSON line."""
import json
import os
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai

model, name = sys.argv[1:3]
kind, _, count = name.partition(":")
sequences = int(count or 1)
input_length, output_length = {"single": (64, 192), "prefill": (1024, 1), "batch": (64, 128)}[kind]


def prompt(seed):
    ids = [1000 + ((i * 7919 + seed * 104729) % 40000) for i in range(input_length)]
    return ov.Tensor(np.array([ids], dtype=np.int64))


scheduler = genai.SchedulerConfig()
scheduler.cache_size = 2
scheduler.max_num_batched_tokens = 512
scheduler.max_num_seqs = 256
scheduler.enable_prefix_caching = False
threads = {"INFERENCE_NUM_THREADS": int(os.environ["BENCH_THREADS"])}
pipeline = genai.ContinuousBatchingPipeline(model, scheduler, "CPU", threads)

sampling = genai.GenerationConfig()
sampling.max_new_tokens = sampling.min_new_tokens = output_length
sampling.ignore_eos = True
sampling.do_sample = False

handles = [pipeline.add_request(i, prompt(i + 1), sampling) for i in range(sequences)]
began = time.perf_counter()
while pipeline.has_non_finished_requests():
    pipeline.step()
seconds = time.perf_counter() - began
made = sum(len(output.generated_ids) for handle in handles for output in handle.read_all())
result = {"case": name, "seconds": seconds, "tokensPerSecond": made / seconds}
if kind == "prefill":
    result["promptTokensPerSecond"] = input_length / seconds
print(json.dumps(result))
