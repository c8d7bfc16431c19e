// What the processor can do and the operating system lets it.
#pragma once

namespace octavo::cpu {

struct Features {
  // On x86: AVX2 with FMA and F16C; AVX-512 with all that its kernels use, VNNI among it.
  bool avx2 = false, avx_vnni = false, avx512 = false, avx512_bf16 = false;
  bool neon = false, dotprod = false, i8mm = false;  // on 64-bit ARM
};

Features DetectFeatures();

}  // namespace octavo::cpu
