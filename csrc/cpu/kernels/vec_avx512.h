// Vectors of sixteen floats: AVX-512 F, BW, DQ and VL.
#pragma once

#include "../half.h"
#include "compiler.h"
#include "intrinsics_x86.h"

namespace octavo::cpu::avx512 {

struct Vec {
  static constexpr int kLanes = 16;
  static constexpr int kAccumulators = 24;
  static constexpr int kSharedColumns = 2;  // see fetching.h
  static constexpr int kRowsOfPointer = 3;  // see InputRows

  __m512 v;

  static OCTAVO_INLINE void Prefetch(const void* address) {
    _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
  }

  // To the second-level cache.
  static OCTAVO_INLINE void PrefetchFar(const void* address) {
    _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T1);
  }

  static Vec Set(float x) { return {_mm512_set1_ps(x)}; }

  static Vec Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Vec Load(const BFloat16* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
  }
  static Vec Load(const Float16* from) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
  }
  static Vec Load(const Int8* from) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes))};
  }
  // As half.h converts one.
  static Vec Load(const Float8* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m256i words = _mm256_cvtepu8_epi16(bytes), low = _mm256_set1_epi16(0x7f);
    const __m256i magnitude = _mm256_and_si256(words, low);
    const __m256i nan =
        _mm256_and_si256(_mm256_cmpeq_epi16(magnitude, low), _mm256_set1_epi16(0x7c00));
    const __m256i sign = _mm256_slli_epi16(_mm256_andnot_si256(low, words), 8);
    const __m256i half = _mm256_or_si256(_mm256_slli_epi16(magnitude, 7), nan);
    return Vec{_mm512_cvtph_ps(_mm256_or_si256(half, sign))} * Set(256);
  }

  void Store(float* to) const { _mm512_storeu_ps(to, v); }
  template <class T>
  void Store(T* to) const {
    alignas(64) float lanes[kLanes];
    _mm512_store_ps(lanes, v);
    for (int i = 0; i < kLanes; ++i) FromFloat(lanes[i], to + i);
  }
  void Store(Float16* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  // What half.h makes a bfloat16 of, in its upper half.
  __m512i RoundedBits() const {
    const __m512i bits = _mm512_castps_si512(v), one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    const __m512i rounded = _mm512_add_epi32(bits, half);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_mask_mov_epi32(rounded, nan, quiet);
  }
  Vec ToBFloat16() const {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm512_castsi512_ps(_mm512_and_si512(RoundedBits(), high))};
  }
  void Store(BFloat16* to) const {
    const __m512i wide = _mm512_srli_epi32(RoundedBits(), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(wide));
  }

  // The first numbers of neighbouring pairs, or the second ones.
  static Vec LoadFirsts(const BFloat16* pairs) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(pairs), 16))};
  }
  static Vec LoadSeconds(const BFloat16* pairs) {
    const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    return {_mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(pairs), high))};
  }

  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
  static Vec Max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
  static Vec Min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
  static Vec Fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  // As avx2::Vec's.
  static OCTAVO_INLINE Vec AddProduct(Vec a, Vec b, Vec sum) {
#if defined(__GNUC__) && !defined(OCTAVO_PLAIN)
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum.v) : "v"(a.v), "v"(b.v));
    return sum;
#else
    return Fma(a, b, sum);
#endif
  }
  static Vec Round(Vec x) {
    return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static Vec PowerOfTwo(Vec n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23))};
  }
  static Vec SelectBelow(Vec x, Vec limit, Vec a, Vec b) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, limit.v, _CMP_LT_OQ), b.v, a.v)};
  }
};

}  // namespace octavo::cpu::avx512
