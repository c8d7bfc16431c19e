"""How OpenVINO's CPU plugin is set for a measurement."""
import os


def cpu_properties():
    properties = {"INFERENCE_NUM_THREADS": int(os.environ["BENCH_THREADS"])}
    if os.environ["BENCH_ISA"] == "avx2":
        # What the plugin chooses on a processor that has AVX2 alone. Elsewhere it asks the processor, and then
        # oneDNN, held to AVX2, for products of bfloat16 or of bytes that oneDNN does not have: it would fail.
        properties |= {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
    return properties
