{
  "variables": {
    "core_sources": [
      "csrc/plan.cc",
      "csrc/step.cc",
      "csrc/system.cc"
    ],
    "cpu_sources": [],
    "cpu_portable_sources": [],
    "cpu_avx2_sources": [],
    "cpu_avx512_sources": []
  }
}