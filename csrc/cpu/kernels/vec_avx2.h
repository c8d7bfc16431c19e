// Vectors of eight floats: AVX2 with FMA and F16C.
#pragma once

#include <immintrin.h>

#include "../half.h"
#include "compiler.h"

namespace octavo::cpu::avx2 {

struct Vec {
  static constexpr int kLanes = 8;
  static constexpr int kAccumulators = 12;
  // Of tiles that read the same memory, the first alone asks for it: measured where it gains.
  static constexpr int kSharedColumns = 1;  // see fetching.h
  static constexpr int kRowsOfPointer = 1;  // see InputRows

  __m256 v;

  static OCTAVO_INLINE void Prefetch(const void* address) {
    _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
  }

  // To the second-level cache.
  static OCTAVO_INLINE void PrefetchFar(const void* address) {
    _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T1);
  }

  static Vec Set(float x) { return {_mm256_set1_ps(x)}; }

  static Vec Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Vec Load(const BFloat16* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
  }
  static Vec Load(const Float16* from) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))};
  }
  static Vec Load(const Int8* from) {
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes))};
  }
  // As half.h converts one.
  static Vec Load(const Float8* from) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
    const __m128i words = _mm_cvtepu8_epi16(bytes), low = _mm_set1_epi16(0x7f);
    const __m128i magnitude = _mm_and_si128(words, low);
    const __m128i nan = _mm_and_si128(_mm_cmpeq_epi16(magnitude, low), _mm_set1_epi16(0x7c00));
    const __m128i sign = _mm_slli_epi16(_mm_andnot_si128(low, words), 8);
    const __m128i half = _mm_or_si128(_mm_slli_epi16(magnitude, 7), nan);
    return Vec{_mm256_cvtph_ps(_mm_or_si128(half, sign))} * Set(256);
  }

  void Store(float* to) const { _mm256_storeu_ps(to, v); }
  template <class T>
  void Store(T* to) const {
    alignas(32) float lanes[kLanes];
    _mm256_store_ps(lanes, v);
    for (int i = 0; i < kLanes; ++i) FromFloat(lanes[i], to + i);
  }
  void Store(Float16* to) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  }

  // What half.h makes a bfloat16 of, in its upper half.
  __m256i RoundedBits() const {
    const __m256i bits = _mm256_castps_si256(v), one = _mm256_set1_epi32(1);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
    const __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    const __m256 rounded = _mm256_castsi256_ps(_mm256_add_epi32(bits, half));
    const __m256 quiet = _mm256_or_ps(v, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
    const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    return _mm256_castps_si256(_mm256_blendv_ps(rounded, quiet, nan));
  }
  Vec ToBFloat16() const {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm256_castsi256_ps(_mm256_and_si256(RoundedBits(), high))};
  }
  void Store(BFloat16* to) const {
    const __m256i wide = _mm256_srli_epi32(RoundedBits(), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(wide, wide), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(packed));
  }

  // The first numbers of neighbouring pairs, or the second ones.
  static Vec LoadFirsts(const BFloat16* pairs) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(LoadPairs(pairs), 16))};
  }
  static Vec LoadSeconds(const BFloat16* pairs) {
    const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm256_castsi256_ps(_mm256_and_si256(LoadPairs(pairs), high))};
  }
  static __m256i LoadPairs(const BFloat16* pairs) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
  }

  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
  static Vec Max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
  static Vec Min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
  static Vec Fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }

  // Fma for one of many sums of a loop, whose register it stays in: GCC lets them change places,
  // and for lack of a free one in a loop of twelve it moves some through memory.
  static OCTAVO_INLINE Vec AddProduct(Vec a, Vec b, Vec sum) {
#if defined(__GNUC__)
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum.v) : "x"(a.v), "x"(b.v));
    return sum;
#else
    return Fma(a, b, sum);
#endif
  }

  static Vec Round(Vec x) {
    return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static Vec PowerOfTwo(Vec n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23))};
  }
  static Vec SelectBelow(Vec x, Vec limit, Vec a, Vec b) {
    return {_mm256_blendv_ps(b.v, a.v, _mm256_cmp_ps(x.v, limit.v, _CMP_LT_OQ))};
  }
};

}  // namespace octavo::cpu::avx2
