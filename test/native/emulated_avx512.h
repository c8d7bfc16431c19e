// Stands in for AVX-512 and AVX-VNNI where a processor has AVX2, FMA and F16C: a build with
// OCTAVO_EMULATED_AVX512 puts this file before the kernels of those instruction sets, which it
// compiles as they are, but for AVX2. Types and functions have the compiler's own names, which they
// hide within octavo::cpu, and do what Intel's manual says of their instructions; of an immediate,
// only what kernels ask for. avx512_test.cc holds them to that.
#pragma once

#include "cpu/kernels/intrinsics_x86.h"

// Only now, since the compiler's header must not rely on instructions that it may not use.
#define __AVX512F__ 1
#define __AVX512BF16__ 1
#define __AVXVNNI__ 1
#include "cpu/kernels/compiler.h"

// These are macros in some compilers.
#undef _mm512_cmp_ps_mask
#undef _mm512_cvtps_ph
#undef _mm512_roundscale_ps
#undef _mm512_slli_epi32
#undef _mm512_srli_epi16
#undef _mm512_srli_epi32

namespace octavo::cpu {

// ---------------------------------------------------------------------------------------------
// Vectors of 512 bits

struct __m512 {
  __m256 low, high;
};
struct __m512i {
  __m256i low, high;
};
using __m512bh = __m512i;
using __m256bh = __m256i;

OCTAVO_INLINE __m512 _mm512_castsi512_ps(__m512i a) {
  return {_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)};
}
OCTAVO_INLINE __m512i _mm512_castps_si512(__m512 a) {
  return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)};
}

OCTAVO_INLINE __m512 _mm512_loadu_ps(const void* from) {
  const auto* floats = static_cast<const float*>(from);
  return {_mm256_loadu_ps(floats), _mm256_loadu_ps(floats + 8)};
}
OCTAVO_INLINE void _mm512_storeu_ps(void* to, __m512 a) {
  auto* floats = static_cast<float*>(to);
  _mm256_storeu_ps(floats, a.low);
  _mm256_storeu_ps(floats + 8, a.high);
}
OCTAVO_INLINE void _mm512_store_ps(void* to, __m512 a) {
  auto* floats = static_cast<float*>(to);
  _mm256_store_ps(floats, a.low);
  _mm256_store_ps(floats + 8, a.high);
}
OCTAVO_INLINE __m512i _mm512_loadu_si512(const void* from) {
  const auto* halves = static_cast<const __m256i*>(from);
  return {_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)};
}

OCTAVO_INLINE __m512 _mm512_set1_ps(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
OCTAVO_INLINE __m512i _mm512_set1_epi32(int x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
OCTAVO_INLINE __m512i _mm512_set1_epi8(char x) {
  return {_mm256_set1_epi8(x), _mm256_set1_epi8(x)};
}
OCTAVO_INLINE __m512i _mm512_setzero_si512() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}
OCTAVO_INLINE __m512i _mm512_broadcast_i32x4(__m128i a) {
  return {_mm256_broadcastsi128_si256(a), _mm256_broadcastsi128_si256(a)};
}

// ---------------------------------------------------------------------------------------------
// Floats

OCTAVO_INLINE __m512 _mm512_add_ps(__m512 a, __m512 b) {
  return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_sub_ps(__m512 a, __m512 b) {
  return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_mul_ps(__m512 a, __m512 b) {
  return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_div_ps(__m512 a, __m512 b) {
  return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_max_ps(__m512 a, __m512 b) {
  return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_min_ps(__m512 a, __m512 b) {
  return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
OCTAVO_INLINE __m512 _mm512_fmadd_ps(__m512 a, __m512 b, __m512 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}

// An immediate that no kernel uses ends the program.
constexpr int kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

OCTAVO_INLINE __m512 _mm512_roundscale_ps(__m512 a, int mode) {
  if (mode != kToNearest) __builtin_trap();
  return {_mm256_round_ps(a.low, kToNearest), _mm256_round_ps(a.high, kToNearest)};
}

// ---------------------------------------------------------------------------------------------
// Masks: bit i is lane i's

template <int predicate>
OCTAVO_INLINE __mmask16 Compared(__m512 a, __m512 b) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(a.low, b.low, predicate));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(a.high, b.high, predicate));
  return static_cast<__mmask16>(high << 8 | low);
}
OCTAVO_INLINE __mmask16 _mm512_cmp_ps_mask(__m512 a, __m512 b, int predicate) {
  if (predicate == _CMP_LT_OQ) return Compared<_CMP_LT_OQ>(a, b);
  if (predicate == _CMP_UNORD_Q) return Compared<_CMP_UNORD_Q>(a, b);
  __builtin_trap();
}

// Lanes whose bits among the lowest eight are set are all ones.
OCTAVO_INLINE __m256i Lanes(int mask) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(mask), bits), bits);
}
OCTAVO_INLINE __m512 _mm512_mask_blend_ps(__mmask16 mask, __m512 a, __m512 b) {
  return {_mm256_blendv_ps(a.low, b.low, _mm256_castsi256_ps(Lanes(mask))),
          _mm256_blendv_ps(a.high, b.high, _mm256_castsi256_ps(Lanes(mask >> 8)))};
}
OCTAVO_INLINE __m512i _mm512_mask_mov_epi32(__m512i a, __mmask16 mask, __m512i b) {
  return {_mm256_blendv_epi8(a.low, b.low, Lanes(mask)),
          _mm256_blendv_epi8(a.high, b.high, Lanes(mask >> 8))};
}

// ---------------------------------------------------------------------------------------------
// Integers

OCTAVO_INLINE __m512i _mm512_and_si512(__m512i a, __m512i b) {
  return {_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}
OCTAVO_INLINE __m512i _mm512_or_si512(__m512i a, __m512i b) {
  return {_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}
OCTAVO_INLINE __m512i _mm512_slli_epi32(__m512i a, unsigned bits) {
  const int count = static_cast<int>(bits);
  return {_mm256_slli_epi32(a.low, count), _mm256_slli_epi32(a.high, count)};
}
OCTAVO_INLINE __m512i _mm512_srli_epi32(__m512i a, unsigned bits) {
  const int count = static_cast<int>(bits);
  return {_mm256_srli_epi32(a.low, count), _mm256_srli_epi32(a.high, count)};
}
OCTAVO_INLINE __m512i _mm512_srli_epi16(__m512i a, unsigned bits) {
  const int count = static_cast<int>(bits);
  return {_mm256_srli_epi16(a.low, count), _mm256_srli_epi16(a.high, count)};
}
OCTAVO_INLINE __m512i _mm512_add_epi32(__m512i a, __m512i b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
OCTAVO_INLINE __m512i _mm512_max_epi32(__m512i a, __m512i b) {
  return {_mm256_max_epi32(a.low, b.low), _mm256_max_epi32(a.high, b.high)};
}
OCTAVO_INLINE int _mm512_reduce_max_epi32(__m512i a) {
  int lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), _mm256_max_epi32(a.low, a.high));
  int largest = lanes[0];
  for (const int lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}
// Each 16 bytes of `a` are looked up by those of `b`.
OCTAVO_INLINE __m512i _mm512_shuffle_epi8(__m512i a, __m512i b) {
  return {_mm256_shuffle_epi8(a.low, b.low), _mm256_shuffle_epi8(a.high, b.high)};
}

// ---------------------------------------------------------------------------------------------
// Conversions

OCTAVO_INLINE __m512 _mm512_cvtph_ps(__m256i a) {
  return {_mm256_cvtph_ps(_mm256_castsi256_si128(a)),
          _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1))};
}
OCTAVO_INLINE __m256i _mm512_cvtps_ph(__m512 a, int mode) {
  if (mode != kToNearest) __builtin_trap();
  return _mm256_set_m128i(_mm256_cvtps_ph(a.high, kToNearest), _mm256_cvtps_ph(a.low, kToNearest));
}
OCTAVO_INLINE __m512 _mm512_cvtepi32_ps(__m512i a) {
  return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)};
}
OCTAVO_INLINE __m512i _mm512_cvtps_epi32(__m512 a) {
  return {_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high)};
}
OCTAVO_INLINE __m512i _mm512_cvtepi8_epi32(__m128i a) {
  return {_mm256_cvtepi8_epi32(a), _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8))};
}
OCTAVO_INLINE __m512i _mm512_cvtepu16_epi32(__m256i a) {
  return {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
          _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1))};
}
// Integers lose their upper bits.
OCTAVO_INLINE __m256i _mm512_cvtepi32_epi16(__m512i a) {
  const __m256i kept = _mm256_set1_epi32(0xffff);
  const __m256i mixed =
      _mm256_packus_epi32(_mm256_and_si256(a.low, kept), _mm256_and_si256(a.high, kept));
  return _mm256_permute4x64_epi64(mixed, 0xd8);
}
OCTAVO_INLINE __m128i _mm512_cvtepi32_epi8(__m512i a) {
  const __m256i words = _mm256_and_si256(_mm512_cvtepi32_epi16(a), _mm256_set1_epi16(0xff));
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// ---------------------------------------------------------------------------------------------
// VNNI: each lane's four products of an unsigned byte of `a` and a signed one of `b`, or its two of
// signed words

OCTAVO_INLINE __m256i _mm256_dpbusd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  // As pairs of 16 bits, since two products may take more.
  const __m256i low = _mm256_set1_epi16(0xff);
  const __m256i evens =
      _mm256_madd_epi16(_mm256_and_si256(a, low), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
  const __m256i odds = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(evens, odds));
}
OCTAVO_INLINE __m512i _mm512_dpbusd_epi32(__m512i sum, __m512i a, __m512i b) {
  return {_mm256_dpbusd_avx_epi32(sum.low, a.low, b.low),
          _mm256_dpbusd_avx_epi32(sum.high, a.high, b.high)};
}
OCTAVO_INLINE __m256i _mm256_dpwssd_avx_epi32(__m256i sum, __m256i a, __m256i b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
OCTAVO_INLINE __m512i _mm512_dpwssd_epi32(__m512i sum, __m512i a, __m512i b) {
  return {_mm256_dpwssd_avx_epi32(sum.low, a.low, b.low),
          _mm256_dpwssd_avx_epi32(sum.high, a.high, b.high)};
}

// ---------------------------------------------------------------------------------------------
// BF16: numbers below float32's normal ones are read as zero, and become it

OCTAVO_INLINE __m256 WithoutSubnormals(__m256 a) {
  const __m256 exponent = _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000)));
  const __m256 normal = _mm256_cmp_ps(exponent, _mm256_setzero_ps(), _CMP_NEQ_UQ);
  return _mm256_and_ps(a, _mm256_or_ps(normal, _mm256_set1_ps(-0.0f)));
}

// Two multiply-adds a lane, the second numbers' first. What rounds up to the least normal number
// stays that, which a processor may take for less.
OCTAVO_INLINE __m256 AddPairs(__m256 sum, __m256i a, __m256i b) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  const auto first = [](__m256i pairs) {
    return WithoutSubnormals(_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)));
  };
  const auto second = [high](__m256i pairs) {
    return WithoutSubnormals(_mm256_castsi256_ps(_mm256_and_si256(pairs, high)));
  };
  sum = _mm256_fmadd_ps(second(a), second(b), WithoutSubnormals(sum));
  sum = _mm256_fmadd_ps(first(a), first(b), WithoutSubnormals(sum));
  return WithoutSubnormals(sum);
}
OCTAVO_INLINE __m512 _mm512_dpbf16_ps(__m512 sum, __m512bh a, __m512bh b) {
  return {AddPairs(sum.low, a.low, b.low), AddPairs(sum.high, a.high, b.high)};
}

// In the upper halves of lanes.
OCTAVO_INLINE __m256i ToBFloat16(__m256 a) {
  const __m256i bits = _mm256_castps_si256(WithoutSubnormals(a));
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(rounded, quiet, nan);
}
OCTAVO_INLINE __m256bh _mm512_cvtneps_pbh(__m512 a) {
  return _mm512_cvtepi32_epi16(
      _mm512_srli_epi32(__m512i{ToBFloat16(a.low), ToBFloat16(a.high)}, 16));
}

}  // namespace octavo::cpu
