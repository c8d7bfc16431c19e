// Products with levels by AVX-512 VNNI (see linear_levels.h).
#pragma once

#include "integers_avx512.h"

namespace octavo::cpu::avx512 {

struct Levels : Integers {
  static constexpr int kRows = 4;  // two sums each

  template <int kBits>
  struct Dot {
    static constexpr int kLowered = 0;

    explicit Dot(const CodesLayout& layout) : low(Table(layout.low)), high(Table(layout.high)) {}

    struct Weights {
      __m512i low, high;
    };
    struct Sum {
      Ints low, high;
    };

    static Sum Start(Ints sums) { return {sums, Zero()}; }
    static Ints Finish(Sum parts, Ints) {
      return Plus(parts.low, _mm512_slli_epi32(parts.high, CodesLayout::kLowBits));
    }

    Weights Load(const uint8_t* eight, int half) const {
      const __m512i codes = Integers::Dot<4>::Load(eight, half);
      return {_mm512_shuffle_epi8(low, codes), _mm512_shuffle_epi8(high, codes)};
    }

    static Sum Add(Weights weights, __m512i inputs, Sum sum) {
      return {_mm512_dpbusd_epi32(sum.low, weights.low, inputs),
              _mm512_dpbusd_epi32(sum.high, weights.high, inputs)};
    }

    static __m512i Table(const uint8_t* levels) {
      return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(levels)));
    }

    __m512i low, high;
  };
};

}  // namespace octavo::cpu::avx512
