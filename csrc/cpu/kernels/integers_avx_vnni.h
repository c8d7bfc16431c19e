// Integers by AVX2, whose bytes AVX-VNNI multiplies.
#pragma once

#include "integers_avx2.h"

namespace octavo::cpu::avx_vnni {

struct Integers : avx2::Integers {
  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    return _mm256_dpbusd_avx_epi32(sum, codes, inputs);
  }
  static Ints AddTwos(Ints sum, Bytes words, Inputs inputs) {
    return _mm256_dpwssd_avx_epi32(sum, words, inputs);
  }
};

}  // namespace octavo::cpu::avx_vnni
