// In the place of csrc/cpu/features.cc where AVX-512 and AVX-VNNI are emulated: a processor with
// AVX2 has all of them.
#include "cpu/features.h"

namespace octavo::cpu {

Features DetectFeatures() {
  Features features;
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("f16c");
  features.avx_vnni = features.avx512 = features.avx512_bf16 = features.avx2;
  return features;
}

}  // namespace octavo::cpu
