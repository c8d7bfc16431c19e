// Codes of eight rows as they lie in a block of inputs, by AVX2.
#pragma once

#include "../kernels.h"
#include "intrinsics_x86.h"

namespace octavo::cpu::fours {

// Rows of eight 32-bit words become columns of them.
static inline void Transpose(__m256i (&words)[8]) {
  __m256i pairs[8], fours[8];
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(words[i], words[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(words[i], words[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int half = 0; half < 2; ++half) {
      fours[i + 2 * half] = _mm256_unpacklo_epi64(pairs[i + half], pairs[i + 2 + half]);
      fours[i + 2 * half + 1] = _mm256_unpackhi_epi64(pairs[i + half], pairs[i + 2 + half]);
    }
  }
  for (int i = 0; i < 4; ++i) {
    words[i] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x20);
    words[i + 4] = _mm256_permute2x128_si256(fours[i], fours[i + 4], 0x31);
  }
}

// See PlainIntegers::StoreFours. Pairs of columns add up in 16 bits, at most 32 × 127.
static inline void Store(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
  __m256i words[8];
  for (int r = 0; r < 8; ++r)
    words[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r]));
  Transpose(words);
  __m256i pairs = _mm256_setzero_si256();
  for (int i = 0; i < columns / 4; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, words[i]);
    pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(_mm256_set1_epi8(1), words[i]));
  }
  auto* at = reinterpret_cast<__m256i*>(sums);
  const __m256i added = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), added));
}

}  // namespace octavo::cpu::fours
