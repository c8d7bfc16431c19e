// Products with levels by AVX2 (see linear_levels.h).
#pragma once

#include "integers_avx2.h"

namespace octavo::cpu::avx2 {

struct Levels : Integers {
  static constexpr int kRows = 2;  // two sums each

  template <int kBits>
  struct Dot {
    static constexpr int kLowered = 0;

    explicit Dot(const CodesLayout& layout) : low(Table(layout.low)), high(Table(layout.high)) {}

    struct Weights {
      __m256i low, high;
    };
    struct Sum {
      Ints low, high;
    };

    static Sum Start(Ints sums) { return {sums, Zero()}; }
    static Ints Finish(Sum parts, Ints) {
      return Plus(parts.low, _mm256_slli_epi32(parts.high, CodesLayout::kLowBits));
    }

    Weights Load(const uint8_t* eight, int half) const {
      const __m256i codes = Integers::Dot<4>::Load(eight, half);
      return {_mm256_shuffle_epi8(low, codes), _mm256_shuffle_epi8(high, codes)};
    }

    // A pair of products of 7 bits, at most 2 × 127 × 127, fits 16.
    static Sum Add(Weights weights, __m256i inputs, Sum sum) {
      sum.low = Plus(sum.low, Widen(_mm256_maddubs_epi16(weights.low, inputs)));
      sum.high = Plus(sum.high, Widen(_mm256_maddubs_epi16(weights.high, inputs)));
      Pin(&sum.low);
      Pin(&sum.high);
      return sum;
    }

    static __m256i Table(const uint8_t* levels) {
      return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
    }

    __m256i low, high;
  };
};

}  // namespace octavo::cpu::avx2
