"""Packers of quantised checkpoints: independent libraries where they run on a CPU, else written out.

Each takes a matrix [rows, columns] of float32 and gives the tensors that a checkpoint keeps of a module, by
their endings, and the numbers that they stand for in float32.
"""

import types

import numpy as np
import torch


def compressed_tensors(bits, strategy, group=None, symmetric=True, kind="int", block=None):
    """pack-quantized for 4 bits, else int-quantized or float-quantized; by the library."""
    from compressed_tensors.compressors.naive_quantized.base import NaiveQuantizationCompressor
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils.helpers import calculate_qparams

    options = dict(num_bits=bits, strategy=strategy, symmetric=symmetric, type=kind)
    if group:
        options["group_size"] = group
    if block:
        options["block_structure"] = block
    args = QuantizationArgs(**options)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    packer = PackedQuantizationCompressor if bits == 4 else NaiveQuantizationCompressor

    def pack(matrix):
        rows, columns = matrix.shape
        if strategy == "tensor":
            parts = matrix.reshape(1, 1, -1)
        elif strategy == "block":
            tall, wide = -(-rows // block[0]), -(-columns // block[1])
            padded = torch.zeros(tall * block[0], wide * block[1])
            padded[:rows, :columns] = matrix
            parts = padded.reshape(tall, block[0], wide, block[1]).transpose(1, 2).flatten(2)
        else:
            parts = matrix.reshape(rows, -1, group or columns)
        scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), args)
        scale = scale.float().bfloat16().float()
        if strategy == "tensor":
            scale, zero = scale.reshape(1), zero.reshape(1)
        zero = zero.to(args.zp_dtype or torch.int8)
        state = {"weight": matrix, "weight_scale": scale, "weight_zero_point": zero}
        packed = packer.compress(state, scheme)
        numbers = packer.decompress(dict(packed), scheme)["weight"].float()
        if symmetric:
            packed.pop("weight_zero_point", None)
        packed["weight_scale"] = packed["weight_scale"].bfloat16()
        return packed, numbers

    return pack


def by_column_groups(group, seed=0):
    """pack-quantized whose columns have their groups in `weight_g_idx`, which the library wrote until 0.10."""
    random = np.random.default_rng(seed)

    def pack(matrix):
        rows, columns = matrix.shape
        group_of = torch.from_numpy(random.permutation(columns) // group)
        groups = [matrix[:, group_of == i] for i in range(columns // group)]
        scale = torch.stack([part.abs().amax(1) for part in groups], 1) / 7.5
        scale = scale.bfloat16().float()
        codes = (matrix / scale[:, group_of]).round().clamp(-8, 7)
        packed = torch.from_numpy(np.ascontiguousarray(words((codes + 8).numpy().T, 4).T))
        return {
            "weight_packed": packed,
            "weight_scale": scale.bfloat16(),
            "weight_shape": torch.tensor([rows, columns]),
            "weight_g_idx": group_of.int(),
        }, codes * scale[:, group_of]

    return pack


def int8_by_rows(matrix):
    """bitsandbytes' 8 bits (its library needs a GPU to make them): the largest magnitude of a row."""
    largest = matrix.abs().amax(1)
    codes = (matrix / largest[:, None] * 127).round().to(torch.int8)
    format_ = torch.tensor(0, dtype=torch.uint8)
    numbers = codes.float() * largest[:, None] / 127
    return {"weight": codes, "SCB": largest, "weight_format": format_}, numbers


def bitsandbytes(kind, nested):
    from bitsandbytes import functional

    def pack(matrix):
        codes, state = functional.quantize_4bit(
            matrix, blocksize=64, compress_statistics=nested, quant_type=kind
        )
        parts = state.as_dict(packed=True)
        scales = state.absmax
        if nested:
            scales = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
        # The library's way back is wrong on a CPU where rows are no multiple of 64 (0.50).
        both = torch.stack([codes >> 4, codes & 15], -1).flatten().long()
        numbers = parts["quant_map"][both].reshape(-1, 64) * scales[:, None]
        stored = {f"weight.{name}": tensor for name, tensor in parts.items()}
        return {"weight": codes, **stored}, numbers.reshape(matrix.shape)

    return pack


def torchao(make):
    """`make(matrix)` gives a tensor of one of torchao's classes; its metadata come as texts."""
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict

    def pack(matrix):
        tensor = make(matrix)
        tensors, metadata = flatten_tensor_state_dict({"m.weight": tensor})
        parts = {name.removeprefix("m."): part for name, part in tensors.items()}
        return {**parts, "metadata": metadata["m.weight"]}, tensor.dequantize().float()

    return pack


def torchao_by_config(config):
    from torchao.quantization import quantize_

    def make(matrix):
        layer = torch.nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
        layer.weight.data = matrix.clone()
        quantize_(layer, config)
        return layer.weight.data

    return make


def torchao_int4(group):
    """Int4Tensor is made by a library for GPUs; this is its rule."""
    from torchao.quantization import Int4Tensor

    def make(matrix):
        rows, columns = matrix.shape
        groups = matrix.reshape(rows, -1, group)
        least = groups.amin(-1)
        scale = ((groups.amax(-1) - least).clamp(min=1e-6) / 15).bfloat16().float()
        zero = (least + 8 * scale).bfloat16().float()
        codes = ((groups - zero[..., None]) / scale[..., None]).round().clamp(-8, 7)
        numbers = (codes * scale[..., None] + zero[..., None]).reshape(rows, columns)
        codes = codes.reshape(rows, columns).to(torch.int8)
        packed = (codes[:, ::2] & 15) | (codes[:, 1::2] << 4)
        tensor = Int4Tensor(
            packed.to(torch.int8), scale.bfloat16().T.contiguous(), zero.bfloat16().T.contiguous(),
            [1, group], torch.Size([rows, columns]),
        )
        tensor.dequantize = types.MethodType(lambda self: numbers, tensor)
        return tensor

    return make


def words(codes, bits):
    """Little-endian words along the first dimension."""
    per = 32 // bits
    codes = codes.reshape(codes.shape[0] // per, per, -1).astype(np.uint64)
    shifts = (np.arange(per, dtype=np.uint64) * np.uint64(bits))[None, :, None]
    return (codes << shifts).sum(1).astype(np.uint32).view(np.int32)


def gptq(bits, group, symmetric=False, act_order=False, version=1, seed=0):
    """AutoGPTQ's layout, written out."""
    random = np.random.default_rng(seed)

    def pack(matrix):
        rows, columns = matrix.shape
        size = columns if group == -1 else group
        order = random.permutation(columns) if act_order else np.arange(columns)
        group_of = np.empty(columns, dtype=np.int32)
        group_of[order] = np.arange(columns) // size
        weights = matrix.numpy()[:, order].reshape(rows, -1, size)
        highest = 2**bits - 1
        if symmetric:
            scale = np.abs(weights).max(-1) / (highest // 2)
            zero = np.full(scale.shape, (highest + 1) // 2)
        else:
            least, greatest = np.minimum(weights.min(-1), 0), np.maximum(weights.max(-1), 0)
            scale = (greatest - least) / highest
            zero = np.clip(np.round(-least / scale), 1, highest)
        scale = scale.astype(np.float16).astype(np.float32)
        codes = np.clip(np.round(weights / scale[..., None]) + zero[..., None], 0, highest)
        numbers = np.empty((rows, columns), dtype=np.float32)
        numbers[:, order] = (scale[..., None] * (codes - zero[..., None])).reshape(rows, columns)
        stored = np.empty((rows, columns))
        stored[:, order] = codes.reshape(rows, columns)
        zeros = (zero - (1 if version == 1 else 0)).astype(np.uint32)
        return {
            "qweight": torch.from_numpy(words(stored.T, bits)),
            "qzeros": torch.from_numpy(np.ascontiguousarray(words(zeros, bits).T)),
            "scales": torch.from_numpy(np.ascontiguousarray(scale.T)).half(),
            "g_idx": torch.from_numpy(group_of),
        }, torch.from_numpy(numbers)

    return pack


def awq(group):
    """AutoAWQ's gemm layout, written out: the codes of eight rows in a word, in its own order."""

    def pack_rows(codes):
        eight = codes.T.astype(np.uint64).reshape(codes.shape[1], -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        return torch.from_numpy(words(eight.transpose(2, 0, 1).reshape(8, -1), 4).reshape(eight.shape[:2]))

    def pack(matrix):
        rows, columns = matrix.shape
        weights = matrix.numpy().reshape(rows, -1, columns if group == -1 else group)
        least, greatest = np.minimum(weights.min(-1), 0), np.maximum(weights.max(-1), 0)
        scale = ((greatest - least) / 15).astype(np.float16).astype(np.float32)
        zero = np.clip(np.round(-least / scale), 0, 15)
        codes = np.clip(np.round(weights / scale[..., None]) + zero[..., None], 0, 15)
        numbers = (scale[..., None] * (codes - zero[..., None])).reshape(rows, columns)
        return {
            "qweight": pack_rows(codes.reshape(rows, columns)),
            "qzeros": pack_rows(zero),
            "scales": torch.from_numpy(np.ascontiguousarray(scale.T)).half(),
        }, torch.from_numpy(numbers)

    return pack


def float8(block=None, per="tensor", scale_name="weight_scale"):
    """e4m3 with a scale for the tensor, a row or a square block."""

    def pack(matrix):
        rows, columns = matrix.shape
        tall, wide = {"tensor": (rows, columns), "row": (1, columns)}.get(per, (block, block))
        scales = torch.empty(-(-rows // tall), -(-columns // wide))
        codes = torch.empty(rows, columns, dtype=torch.float8_e4m3fn)
        numbers = torch.empty(rows, columns)
        for i in range(scales.shape[0]):
            for j in range(scales.shape[1]):
                part = slice(i * tall, (i + 1) * tall), slice(j * wide, (j + 1) * wide)
                scales[i, j] = matrix[part].abs().max() / 448
                codes[part] = (matrix[part] / scales[i, j]).to(torch.float8_e4m3fn)
                numbers[part] = codes[part].float() * scales[i, j]
        stored = scales.reshape(()) if per == "tensor" else scales
        return {"weight": codes, scale_name: stored.clone()}, numbers

    return pack


FLOAT4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def mxfp4(matrices):
    """GPT-OSS' stacked experts [experts, rows, columns]: blocks and scales; numbers by transformers."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    groups = matrices.reshape(*matrices.shape[:2], -1, 32)
    exponents = torch.floor(torch.log2(groups.abs().amax(-1))) - 2
    scaled = groups / torch.exp2(exponents)[..., None]
    levels = torch.tensor(FLOAT4)
    codes = (scaled.abs()[..., None] - levels).abs().argmin(-1) + 8 * (scaled < 0)
    blocks = (codes[..., ::2] | codes[..., 1::2] << 4).to(torch.uint8)
    scales = (exponents + 127).to(torch.uint8)
    numbers = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return blocks, scales, numbers  # numbers [experts, columns, rows]
