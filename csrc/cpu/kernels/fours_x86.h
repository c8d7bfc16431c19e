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

// Columns of eight rows, four in each of `words`.
static inline void LoadColumns(const int8_t (&rows)[8][kCodesChunk], __m256i (&words)[8]) {
  for (int r = 0; r < 8; ++r)
    words[r] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[r]));
  Transpose(words);
}

// A sum for each row, of pairs of columns that add up in 16 bits: at most 32 × 127.
class Sums {
 public:
  // Four columns of each row.
  void Add(__m256i four) {
    pairs_ = _mm256_add_epi16(pairs_, _mm256_maddubs_epi16(_mm256_set1_epi8(1), four));
  }
  void AddTo(int32_t (&sums)[8]) const {
    auto* at = reinterpret_cast<__m256i*>(sums);
    const __m256i added = _mm256_madd_epi16(pairs_, _mm256_set1_epi16(1));
    _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), added));
  }

 private:
  __m256i pairs_ = _mm256_setzero_si256();
};

// See PlainIntegers::StoreFours.
static inline void Store(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
  __m256i words[8];
  LoadColumns(rows, words);
  Sums all;
  for (int i = 0; i < columns / 4; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, words[i]);
    all.Add(words[i]);
  }
  all.AddTo(sums);
}

// Signed bytes in two planes: magnitudes, and 127 where a byte is negative or else 128.
struct Planes {
  __m256i magnitudes, flips;

  explicit Planes(__m256i bytes)
      : magnitudes(_mm256_abs_epi8(bytes)),
        flips(_mm256_xor_si256(_mm256_cmpgt_epi8(_mm256_setzero_si256(), bytes),
                               _mm256_set1_epi8(-128))) {}

  void Store(int8_t* first, int8_t* second) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(first), magnitudes);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second), flips);
  }
};

// The same in planes. Adds each row's negative columns to `negatives` too.
static inline void StorePlanes(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                               int32_t (&sums)[8], int32_t (&negatives)[8]) {
  __m256i words[8];
  LoadColumns(rows, words);
  Sums all, negative;
  for (int i = 0; i < columns / 4; ++i, to += 64) {
    Planes(words[i]).Store(to, to + 32);
    all.Add(words[i]);
    negative.Add(_mm256_min_epi8(words[i], _mm256_setzero_si256()));
  }
  all.AddTo(sums);
  negative.AddTo(negatives);
}

// One row of a block in planes.
static inline void StoreRowPlanes(const int8_t (&codes)[kCodesChunk], int columns, int8_t* to) {
  int8_t magnitudes[kCodesChunk], flips[kCodesChunk];
  Planes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes))).Store(magnitudes, flips);
  for (int c = 0; c < columns; c += 4, to += 64) {
    std::memcpy(to, magnitudes + c, 4);
    std::memcpy(to + 32, flips + c, 4);
  }
}

}  // namespace octavo::cpu::fours
