// Products of pairs of bfloat16 numbers by AVX-512 BF16, sixteen outputs a vector. Each is two
// multiply-adds in float32, the second numbers' first, as RoundedColumns has them; but numbers
// below float32's normal ones count as zero.
#pragma once

#include <cstring>

#include "vec_avx512.h"

namespace octavo::cpu::avx512 {

struct Pairs {
  using T = BFloat16;
  using Input = BFloat16;
  static constexpr int kColumns = 2, kParts = 1, kFirst = 0, kNext = 1;
  static constexpr bool kRounds = true;

  static __m512i Weights(const T* at, int) { return _mm512_loadu_si512(at); }
  static __m512i Inputs(const Input* at, int) {
    int32_t pair;
    std::memcpy(&pair, at, sizeof pair);
    return _mm512_set1_epi32(pair);
  }
  static Vec Add(__m512i inputs, __m512i weights, Vec sum) {
    return {_mm512_dpbf16_ps(sum.v, __m512bh(inputs), __m512bh(weights))};
  }
  static void Keep(Vec x, Input* to) {
    const __m256i rounded = __m256i(_mm512_cvtneps_pbh(x.v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
  }
};

}  // namespace octavo::cpu::avx512
