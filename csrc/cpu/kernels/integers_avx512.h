// Integer products by AVX-512 VNNI, sixteen columns a vector.
#pragma once

#include <cstring>

#include "../kernels.h"
#include "fours_x86.h"
#include "vec_avx512.h"

namespace octavo::cpu::avx512 {

struct Integers {
  static constexpr int kRows = 8;  // of a tile

  using Ints = __m512i;
  static Ints Zero() { return _mm512_setzero_si512(); }
  static Ints Set(int32_t value) { return _mm512_set1_epi32(value); }
  static Ints Plus(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static Vec ToFloats(Ints ints) { return {_mm512_cvtepi32_ps(ints)}; }

  // The nearest whole numbers, and such as bytes.
  static Ints Rounded(Vec x) { return _mm512_cvtps_epi32(x.v); }
  static void StoreBytes(const Ints (&ints)[2], int8_t* to) {
    const __m256i low = _mm256_castsi128_si256(_mm512_cvtepi32_epi8(ints[0]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_inserti128_si256(low, _mm512_cvtepi32_epi8(ints[1]), 1));
  }
  // The bits of floats without their signs, and the largest of them.
  static Ints Magnitudes(Vec x) {
    return _mm512_and_si512(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x7fffffff));
  }
  static Ints Max(Ints a, Ints b) { return _mm512_max_epi32(a, b); }
  static int32_t Largest(Ints ints) { return _mm512_reduce_max_epi32(ints); }

  static void StoreFours(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
    fours::Store(rows, columns, to, sums);
  }

  static __m512i Broadcast(const int8_t* from) {
    int32_t four;
    std::memcpy(&four, from, sizeof four);
    return _mm512_set1_epi32(four);
  }

  template <int kBits>
  struct Dot {
    static constexpr int kLowered = 0;

    explicit Dot(const CodesLayout&) {}

    using Weights = __m512i;
    using Sum = Ints;

    static Sum Start(Ints sums) { return sums; }
    static Ints Finish(Sum parts, Ints) { return parts; }

    static Weights Load(const uint8_t* eight, int half) {
      if (kBits == 8) return _mm512_loadu_si512(eight + half * kPanel * 4);
      const __m512i codes = _mm512_loadu_si512(eight);
      const __m512i low = _mm512_set1_epi8(15);
      return _mm512_and_si512(half == 0 ? codes : _mm512_srli_epi16(codes, 4), low);
    }

    static Sum Add(Weights weights, __m512i inputs, Sum sum) {
      return _mm512_dpbusd_epi32(sum, weights, inputs);
    }
  };
};

}  // namespace octavo::cpu::avx512
