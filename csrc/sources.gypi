{
  "variables": {
    "node_sources": [
      "csrc/addon.cc",
      "csrc/node/arguments.cc",
      "csrc/node/engine.cc",
      "csrc/node/run_plan.cc"
    ],
    "core_sources": [
      "csrc/executor.cc",
      "csrc/mapped_file.cc",
      "csrc/plan.cc",
      "csrc/quantized.cc",
      "csrc/runner.cc",
      "csrc/step.cc",
      "csrc/system.cc",
      "csrc/weights.cc"
    ],
    "cpu_sources": [
      "csrc/cpu/attention_ops.cc",
      "csrc/cpu/attention_schedule.cc",
      "csrc/cpu/backend.cc",
      "csrc/cpu/experts.cc",
      "csrc/cpu/isa.cc",
      "csrc/cpu/machine.cc",
      "csrc/cpu/memory.cc",
      "csrc/cpu/ops.cc",
      "csrc/cpu/packed_codes.cc",
      "csrc/cpu/packed_weight.cc",
      "csrc/cpu/sampler.cc",
      "csrc/cpu/thread_pool.cc"
    ],
    "cpu_portable_sources": ["csrc/cpu/kernels_portable.cc", "csrc/cpu/kernels_neon.cc"],
    "cpu_avx2_sources": ["csrc/cpu/kernels_avx2.cc"],
    "cpu_avx512_sources": ["csrc/cpu/kernels_avx512.cc"]
  }
}
