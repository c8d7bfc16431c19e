{
  "variables": {
    "node_sources": [
      "csrc/addon.cc",
      "csrc/node/arguments.cc",
      "csrc/node/decode_tensor.cc",
      "csrc/node/engine.cc",
      "csrc/node/run_plan.cc"
    ],
    "core_sources": [
      "csrc/decoders/float8_rows.cc",
      "csrc/decoders/ggml_blocks.cc",
      "csrc/decoders/level_rows.cc",
      "csrc/decoders/packed_integers.cc",
      "csrc/decoders/stored_codes.cc",
      "csrc/decoders/stored_tensor.cc",
      "csrc/decoders/torchao_rows.cc",
      "csrc/executor.cc",
      "csrc/mapped_file.cc",
      "csrc/plan.cc",
      "csrc/plan_parser.cc",
      "csrc/plan_words.cc",
      "csrc/quantized.cc",
      "csrc/runner.cc",
      "csrc/source_rows.cc",
      "csrc/step.cc",
      "csrc/system.cc",
      "csrc/warm_up.cc",
      "csrc/weights.cc"
    ],
    "cpu_sources": [
      "csrc/cpu/attention_ops.cc",
      "csrc/cpu/attention_schedule.cc",
      "csrc/cpu/backend.cc",
      "csrc/cpu/expert_linear.cc",
      "csrc/cpu/experts.cc",
      "csrc/cpu/isa.cc",
      "csrc/cpu/latent_ops.cc",
      "csrc/cpu/machine.cc",
      "csrc/cpu/memory.cc",
      "csrc/cpu/ops.cc",
      "csrc/cpu/packed_codes.cc",
      "csrc/cpu/packed_weight.cc",
      "csrc/cpu/sampler.cc",
      "csrc/cpu/short_conv.cc",
      "csrc/cpu/thread_pool.cc"
    ],
    "device_sources": ["csrc/devices.cc"],
    "cpu_portable_sources": ["csrc/cpu/kernels_portable.cc", "csrc/cpu/kernels_neon.cc"],
    "cpu_avx2_sources": ["csrc/cpu/kernels_avx2.cc"],
    "cpu_avx512_sources": ["csrc/cpu/kernels_avx512.cc"],
    "cuda_sources": [
      "csrc/cuda/backend/attention_ops.cc",
      "csrc/cuda/backend/backend.cc",
      "csrc/cuda/backend/block_moves.cc",
      "csrc/cuda/backend/cublas_lt.cc",
      "csrc/cuda/backend/machine.cc",
      "csrc/cuda/backend/mask_rows.cc",
      "csrc/cuda/backend/ops.cc",
      "csrc/cuda/backend/results.cc",
      "csrc/cuda/backend/shared_library.cc",
      "csrc/cuda/backend/step_graphs.cc",
      "csrc/cuda/backend/step_upload.cc",
      "csrc/cuda/backend/weight_loader.cc"
    ],
    "cuda_kernel_sources": [
      "csrc/cuda/kernels/attention.cu",
      "csrc/cuda/kernels/attention_bytes.cu",
      "csrc/cuda/kernels/block_copy.cu",
      "csrc/cuda/kernels/elementwise.cu",
      "csrc/cuda/kernels/linear.cu",
      "csrc/cuda/kernels/rope_store.cu",
      "csrc/cuda/kernels/sampling.cu"
    ],
    "cuda_device_sources": ["csrc/cuda/backend/runtime_cuda.cc"],
    "cuda_emulation_sources": [
      "csrc/cuda/backend/runtime_emulated.cc",
      "csrc/cuda/emulation/block.cc",
      "csrc/cuda/emulation/fiber.cc",
      "csrc/cuda/emulation/shared_memory.cc"
    ]
  }
}
