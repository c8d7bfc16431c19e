"""Writes tiny quantised models and their reference outputs, in the layout of test/fixtures/quantised.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install torch transformers compressed-tensors bitsandbytes torchao
    /tmp/venv/bin/python test/tools/quantised-fixtures.py test/fixtures/quantised [NAME ...]

The reference computes with the dequantised weights in float32 on the CPU.
"""

import importlib
import json
import re
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

import quantised_packers as packers

models = importlib.import_module("model-fixtures")

SMALL = dict(hidden_size=64, intermediate_size=96, head_dim=16)
MOE = dict(SMALL, num_local_experts=4, num_experts_per_tok=2)
QWEN_MOE = dict(SMALL, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64)
DEEPSEEK = dict(
    **dict(hidden_size=136, intermediate_size=144, moe_intermediate_size=136, num_key_value_heads=4),
    **dict(n_routed_experts=4, n_shared_experts=1, num_experts_per_tok=2, n_group=2, topk_group=1),
    **dict(first_k_dense_replace=1, q_lora_rank=48, kv_lora_rank=32, qk_nope_head_dim=16),
    **dict(qk_rope_head_dim=8, v_head_dim=16, norm_topk_prob=True, routed_scaling_factor=2.5),
)


def grouped(**weights):
    group = dict(targets=["Linear"], weights=weights)
    return dict(
        **dict(quant_method="compressed-tensors", quantization_status="compressed"),
        **dict(config_groups=dict(group_0=group), ignore=["lm_head"]),
    )


def int4(**more):
    return dict(grouped(num_bits=4, type="int", **more), format="pack-quantized")


def torchao_cases():
    from torchao.quantization import (
        Float8WeightOnlyConfig,
        Int8WeightOnlyConfig,
        IntxWeightOnlyConfig,
        PerGroup,
    )

    quant = dict(quant_method="torchao", quant_type=dict(default=dict(_type="Int4WeightOnlyConfig")))
    by_config = lambda config: packers.torchao(packers.torchao_by_config(config))
    intx = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32))
    return {
        "torchao-int4": (packers.torchao(packers.torchao_int4(32)), quant),
        "torchao-int8": (by_config(Int8WeightOnlyConfig(version=2)), quant),
        "torchao-intx": (by_config(intx), quant),
        "torchao-float8": (by_config(Float8WeightOnlyConfig()), quant),
    }


def llama_cases():
    asymmetric = dict(strategy="group", group_size=32, symmetric=False)
    four = packers.compressed_tensors
    nf4 = dict(quant_method="bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4")
    gptq = dict(quant_method="gptq", bits=8, group_size=-1, desc_act=False, sym=True)
    float8 = dict(quant_method="fp8", activation_scheme="static")
    return {
        "ct-w4a16-asym": (four(4, "group", 32, False), int4(**asymmetric)),
        "ct-w4a16-channel": (four(4, "channel"), int4(strategy="channel", symmetric=True)),
        "ct-fp8-channel": (
            four(8, "channel", kind="float"),
            dict(grouped(num_bits=8, type="float", strategy="channel"), format="float-quantized"),
        ),
        "ct-fp8-tensor": (
            four(8, "tensor", kind="float"),
            dict(grouped(num_bits=8, type="float", strategy="tensor"), format="float-quantized"),
        ),
        "bnb-nf4": (packers.bitsandbytes("nf4", True), dict(nf4, bnb_4bit_use_double_quant=True)),
        "bnb-fp4": (packers.bitsandbytes("fp4", False), dict(nf4, bnb_4bit_quant_type="fp4")),
        "gptq8-row": (packers.gptq(8, -1, symmetric=True), gptq),
        "gptq-v2-act": (
            packers.gptq(4, 32, act_order=True, version=2),
            dict(gptq, bits=4, group_size=32, desc_act=True, checkpoint_format="gptq_v2"),
        ),
        "fp8-tensor": (packers.float8(), float8),
        **torchao_cases(),
    }


def mixed_cases():
    """Modules that are stored in different ways: packers by pattern, the first that matches."""
    four = packers.compressed_tensors(4, "group", 32)
    bytes_, floats = (packers.compressed_tensors(8, "channel", kind=kind) for kind in ("int", "float"))
    group = lambda targets, form, **weights: dict(targets=targets, format=form, weights=weights)
    bytes_of = dict(num_bits=8, strategy="channel")
    groups = dict(
        group_0=group(["re:.*down_proj$"], "float-quantized", type="float", **bytes_of),
        group_1=group(["lm_head"], "int-quantized", type="int", **bytes_of),
        group_2=group(["Linear"], "pack-quantized", num_bits=4, strategy="group", group_size=32),
    )
    plain = "model.layers.1.self_attn.v_proj"
    mixed = dict(grouped(), format="mixed-precision", config_groups=groups, ignore=[plain])
    rules = {
        "-:.*o_proj": {},
        r"+:model\.layers\.\d+\.mlp\.down_proj": dict(bits=8),
        r".*layers\.1\.self_attn\.q_proj": dict(group_size=64),
    }
    gptq = dict(quant_method="gptq", bits=4, group_size=32, desc_act=False, sym=False)
    int8 = dict(quant_method="bitsandbytes", load_in_8bit=True, llm_int8_skip_modules=["v_proj"])
    return {
        "ct-mixed": (
            [("down_proj", floats), ("lm_head", bytes_), (plain, None), ("_proj", four)],
            mixed,
        ),
        "ct-actorder": (
            [("_proj", packers.by_column_groups(32))],
            int4(strategy="group", group_size=32, symmetric=True, actorder="group"),
        ),
        "gptq-dynamic": (
            [
                *[("o_proj", None), ("down_proj", packers.gptq(8, 32))],
                *[("1.self_attn.q_proj", packers.gptq(4, 64)), ("_proj|lm_head", packers.gptq(4, 32))],
            ],
            dict(gptq, lm_head=True, dynamic=rules),
        ),
        "bnb-int8": ([("v_proj", None), ("_proj|lm_head", packers.int8_by_rows)], int8),
        "bnb-nf4-head": (
            [("_proj|lm_head", packers.bitsandbytes("nf4", True))],
            dict(quant_method="bitsandbytes", load_in_4bit=True, llm_int8_skip_modules=[]),
        ),
    }


def cases():
    mixtral = dict(quant_method="gptq", bits=4, group_size=32, desc_act=True, sym=False)
    float8 = dict(quant_method="fp8", fmt="e4m3", weight_block_size=[128, 128])
    block = packers.float8(128, "block", "weight_scale_inv")
    awq = dict(quant_method="awq", bits=4, group_size=32, zero_point=True, version="gemm")
    llamas = {**llama_cases(), **mixed_cases()}
    return {
        **{name: ("LlamaForCausalLM", SMALL, *case) for name, case in llamas.items()},
        "qwen3-moe-awq": ("Qwen3MoeForCausalLM", QWEN_MOE, packers.awq(32), awq),
        "mixtral-gptq": ("MixtralForCausalLM", MOE, packers.gptq(4, 32, act_order=True), mixtral),
        "deepseek-fp8": ("DeepseekV3ForCausalLM", DEEPSEEK, block, float8),
        "gpt-oss-mxfp4": ("GptOssForCausalLM", MOE, None, dict(quant_method="mxfp4")),
    }


def is_quantised(name, tensor):
    router = name.endswith(("mlp.gate.weight", "block_sparse_moe.gate.weight"))
    outside = "embed_tokens" in name or name.startswith("lm_head") or router
    return tensor.dim() == 2 and name.endswith(".weight") and not outside


def packer_of(name, tensor, pack):
    """`pack` is one for all linear layers, or packers by pattern; None: for stacked experts only."""
    if not isinstance(pack, list):
        return pack if is_quantised(name, tensor) else None
    return next((packer for pattern, packer in pack if re.search(pattern, name)), None)


def quantise(state, pack):
    """The stored tensors and the numbers that they stand for, both by the checkpoint's names."""
    stored, numbers, metadata = {}, {}, {}
    for name, tensor in state.items():
        if pack is None and name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            blocks, scales, numbers[name] = packers.mxfp4(tensor.float().transpose(1, 2))
            stored[f"{name}_blocks"], stored[f"{name}_scales"] = blocks, scales
        elif packer := packer_of(name, tensor, pack):
            parts, numbers[name] = packer(tensor.float().contiguous())
            metadata[name] = parts.pop("metadata", None)
            module = name.removesuffix("weight")
            stored.update({module + part: value.contiguous() for part, value in parts.items()})
        else:
            stored[name], numbers[name] = tensor, tensor.float()
    return stored, numbers, {name: text for name, text in metadata.items() if text}


def write(root, name, architecture, options, pack, quantization):
    folder = Path(root) / name
    for seed in range(20):
        given = {**models.COMMON, **options}
        model_class = getattr(transformers, architecture)
        config = model_class.config_class(**given)
        eager = dict(attn_implementation="eager")
        model = model_class._from_config(config, **eager).eval()
        models.randomise(model, seed)
        model.bfloat16().save_pretrained(folder)
        state = load_file(folder / "model.safetensors")
        stored, numbers, metadata = quantise(state, pack)
        plain = {name: tensor.float().contiguous() for name, tensor in numbers.items()}
        save_file(plain, folder / "model.safetensors")
        model = model_class.from_pretrained(folder, dtype=torch.float32, **eager).eval()
        reference = models.reference_of(model, architecture)
        if reference["margin"] > models.SMALLEST_MARGIN:
            break
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt", **metadata})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "reference.json").write_text(json.dumps(reference) + "\n")
    print(f"{name}: seed {seed}, margin {reference['margin']:.4f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case, (architecture, options, pack, quantization) in cases().items():
        if not sys.argv[2:] or case in sys.argv[2:]:
            write(sys.argv[1], case, architecture, options, pack, quantization)
