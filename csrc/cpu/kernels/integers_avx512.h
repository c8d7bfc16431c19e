// Integers by AVX-512, sixteen columns a vector, whose bytes AVX-512 VNNI multiplies.
#pragma once

#include <cstring>

#include "../kernels.h"
#include "code_products.h"
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
  static void StoreWords(const Ints (&ints)[2], int16_t* to) {
    for (int i = 0; i < 2; ++i)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, _mm512_cvtepi32_epi16(ints[i]));
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

  using Inputs = __m512i;
  static Inputs Broadcast(const int8_t* fours, int row) {
    int32_t four;
    std::memcpy(&four, fours + 4 * row, sizeof four);
    return _mm512_set1_epi32(four);
  }

  static constexpr int kLowered = 0;
  using Bytes = __m512i;
  static Bytes LoadBytes(const uint8_t* from) { return _mm512_loadu_si512(from); }
  static Bytes LoadHalves(const uint8_t* from, int half) {
    const Bytes codes = LoadBytes(from);
    return _mm512_and_si512(half == 0 ? codes : _mm512_srli_epi16(codes, 4), _mm512_set1_epi8(15));
  }
  static Bytes LoadWords(const uint8_t* from) { return LoadBytes(from); }
  static Bytes LoadTable(const uint8_t* numbers) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
  }
  static Bytes LookUp(Bytes table, Bytes halves) { return _mm512_shuffle_epi8(table, halves); }
  static Ints ShiftLeft(Ints ints, int bits) { return _mm512_slli_epi32(ints, bits); }

  static constexpr bool kPairs = false;
  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    return _mm512_dpbusd_epi32(sum, codes, inputs);
  }
  static Ints AddTwos(Ints sum, Bytes words, Inputs inputs) {
    return _mm512_dpwssd_epi32(sum, words, inputs);
  }
};

// 16 products of a tile of 4 rows × 4 vectors read eight operands, of 8 × 2 ten: that leaves an
// Ice Lake, which loads two a cycle, no room for whatever else a step loads.
struct CodeProducts : cpu::CodeProducts<Integers> {
  static constexpr bool kSharesFetching = true;  // see LinearCodes::FetchOf

  template <int kBits>
  struct Dot : cpu::CodeProducts<Integers>::Dot<kBits> {
    using cpu::CodeProducts<Integers>::Dot<kBits>::Dot;
    static constexpr bool kWide = kBits == 8;
  };
};

}  // namespace octavo::cpu::avx512
