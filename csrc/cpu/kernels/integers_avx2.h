// Integers by AVX2, eight columns a vector. Bytes are multiplied and added by pairs in 16
// bits, which must not overflow.
#pragma once

#include <cstring>

#include "../kernels.h"
#include "code_products.h"
#include "compiler.h"
#include "fours_x86.h"
#include "vec_avx2.h"

namespace octavo::cpu::avx2 {

// What must be computed where the source says so: GCC moves additions behind all products of a
// step, and the products to memory. It takes this for a change of the vector.
static inline void Pin(__m256i* vector) {
#if defined(__GNUC__) && !defined(__clang__)
  __asm__ volatile("" : "+x"(*vector));
#else
  (void)vector;
#endif
}

struct Integers {
  static constexpr int kRows = 4;  // of a tile

  using Ints = __m256i;
  static Ints Zero() { return _mm256_setzero_si256(); }
  static Ints Set(int32_t value) { return _mm256_set1_epi32(value); }
  static Ints Plus(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static Vec ToFloats(Ints ints) { return {_mm256_cvtepi32_ps(ints)}; }

  // The nearest whole numbers, and such as bytes.
  static Ints Rounded(Vec x) { return _mm256_cvtps_epi32(x.v); }
  static void StoreBytes(const Ints (&ints)[4], int8_t* to) {
    const __m256i words = _mm256_packs_epi32(ints[0], ints[1]);
    const __m256i bytes = _mm256_packs_epi16(words, _mm256_packs_epi32(ints[2], ints[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);  // both pack by halves
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permutevar8x32_epi32(bytes, order));
  }
  static void StoreWords(const Ints (&ints)[4], int16_t* to) {
    for (int i = 0; i < 2; ++i) {
      const __m256i words = _mm256_packs_epi32(ints[2 * i], ints[2 * i + 1]);  // by halves
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i,
                          _mm256_permute4x64_epi64(words, 0xd8));
    }
  }
  // The bits of floats without their signs, and the largest of them.
  static Ints Magnitudes(Vec x) {
    return _mm256_and_si256(_mm256_castps_si256(x.v), _mm256_set1_epi32(0x7fffffff));
  }
  static Ints Max(Ints a, Ints b) { return _mm256_max_epi32(a, b); }
  static int32_t Largest(Ints ints) {
    const __m128i low = _mm256_castsi256_si128(ints), high = _mm256_extracti128_si256(ints, 1);
    const __m128i four = _mm_max_epi32(low, high);
    const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
  }

  static void StoreFours(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
    fours::Store(rows, columns, to, sums);
  }

  using Inputs = __m256i;
  static Inputs Broadcast(const int8_t* fours, int row) {
    int32_t four;
    std::memcpy(&four, fours + 4 * row, sizeof four);
    return _mm256_set1_epi32(four);
  }

  static constexpr int kLowered = 0;
  using Bytes = __m256i;
  static Bytes LoadBytes(const uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static void KeepBytes(Bytes bytes, uint8_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
  }
  static Bytes LoadHalves(const uint8_t* from, int half) {
    const Bytes codes = LoadBytes(from);
    return _mm256_and_si256(half == 0 ? codes : _mm256_srli_epi16(codes, 4), _mm256_set1_epi8(15));
  }
  static Bytes LoadWords(const uint8_t* from) { return LoadBytes(from); }
  static Bytes LoadTable(const uint8_t* numbers) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
  }
  static Bytes LookUp(Bytes table, Bytes halves) { return _mm256_shuffle_epi8(table, halves); }
  static Ints ShiftLeft(Ints ints, int bits) { return _mm256_slli_epi32(ints, bits); }

  // Adds neighbouring pairs.
  static Ints Widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

  static constexpr bool kPairs = false;
  // Adds four products to each sum. Bytes of codes are at most 128: a pair of products, at most
  // 2 × 128 × 127, must fit 16 bits.
  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    sum = Plus(sum, Widen(_mm256_maddubs_epi16(codes, inputs)));
    Pin(&sum);
    return sum;
  }
  static Ints AddTwos(Ints sum, Bytes words, Inputs inputs) {
    return Plus(sum, _mm256_madd_epi16(words, inputs));
  }
};

struct CodeProducts : Integers {
  static constexpr bool kSharesFetching = true;  // see LinearCodes::FetchOf

  template <int kBits, int kUnused = 0>
  struct Dot;

  // Inputs lie in two planes: magnitudes, and what flips the bits of a code c to make c - 128 of it
  // or, where the input is negative, -(c - 128) - 1. Sums begin with what that one takes away, the
  // magnitudes of negative inputs. _mm256_sign_epi8 would make -(c - 128), but only the units that
  // multiply can do it. Codes are flipped out of memory: four vectors of columns share two planes.
  template <int kUnused>
  struct Dot<8, kUnused> {
    static constexpr int kColumns = 4, kLowered = 128, kPlanes = 2;
    static constexpr bool kWide = true, kByRows = true, kOpens = false;

    explicit Dot(const CodesLayout&) {}

    using Weights = const uint8_t*;
    using Sum = Ints;
    struct Inputs {
      Bytes magnitudes, flips;
    };

    static Inputs Broadcast(const int8_t* fours, int row) {
      return {Integers::Broadcast(fours, row),
              Integers::Broadcast(fours + QuantizedRows::kBlock * 4, row)};
    }
    static Inputs One(int column, int8_t (&)[QuantizedRows::kBlock * 4]) {
      return {_mm256_set1_epi32(1 << 8 * column), _mm256_set1_epi8(-128)};
    }

    static void StoreRow(const int8_t (&codes)[kCodesChunk], int columns, int8_t* to) {
      fours::StoreRowPlanes(codes, columns, to);
    }
    static void StoreRows(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                          int32_t (&sums)[8], int32_t (&negatives)[8]) {
      fours::StorePlanes(rows, columns, to, sums, negatives);
    }

    static Sum Start(Ints sums) { return sums; }
    static Ints Finish(Sum parts, Ints) { return parts; }

    static Weights Load(const uint8_t* eight, int half) { return eight + half * kPanel * 4; }

    static Sum Add(Weights weights, const Inputs& inputs, Sum sum) {
      const Weights row[] = {weights};
      Sum sums[] = {sum};
      AddRow(row, inputs, sums);
      return sums[0];
    }

    // A vector of columns after the other, each instruction would wait for the one before it.
    template <int C>
    static OCTAVO_INLINE void AddRow(const Weights (&weights)[C], const Inputs& inputs,
                                     Sum (&sums)[C]) {
      __m256i pairs[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) pairs[c] = Flipped(weights[c], inputs.flips);
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        pairs[c] = _mm256_maddubs_epi16(inputs.magnitudes, pairs[c]);
        Pin(&pairs[c]);
      }
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        pairs[c] = Widen(pairs[c]);
        Pin(&pairs[c]);
      }
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        sums[c] = Plus(sums[c], pairs[c]);
        Pin(&sums[c]);
      }
    }

    // GCC would load codes that two rows read into a register, by an instruction more.
    static Bytes Flipped(Weights codes, Bytes flips) {
#if defined(__GNUC__)
      Bytes flipped;
      const auto& from = *reinterpret_cast<const __m256i_u*>(codes);
      __asm__ volatile("vpxor %2, %1, %0" : "=x"(flipped) : "x"(flips), "m"(from));
      return flipped;
#else
      return _mm256_xor_si256(flips, LoadBytes(codes));
#endif
    }
  };

  // The pairs of 32 columns, at most 8 × 2 × 15 × 127, still fit 16 bits.
  static_assert(CodesLayout::kMostStep <= 32, "Start and Finish enclose a step of columns");
  template <int kUnused>
  struct Dot<4, kUnused> : SignedInputs<Integers> {
    static constexpr int kLowered = 0;
    static constexpr bool kByRows = true, kOpens = true;

    explicit Dot(const CodesLayout&) {}

    using Weights = Bytes;
    using Sum = __m256i;

    static Sum Start(Ints) { return _mm256_setzero_si256(); }
    static Ints Finish(Sum parts, Ints sums) { return Plus(sums, Widen(parts)); }

    static Weights Load(const uint8_t* eight, int half) { return LoadHalves(eight, half); }

    // What bench/native/roofline.h measures.
    static Sum Add(Weights weights, Inputs inputs, Sum sum) {
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, inputs));
      Pin(&sum);
      return sum;
    }

    // Products first: where they take turns with additions one by one, fewer begin in a cycle.
    template <int C>
    static OCTAVO_INLINE void AddRow(const Weights (&weights)[C], Inputs inputs, Sum (&sums)[C]) {
      __m256i pairs[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        pairs[c] = _mm256_maddubs_epi16(weights[c], inputs);
        Pin(&pairs[c]);
      }
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        sums[c] = _mm256_add_epi16(sums[c], pairs[c]);
        Pin(&sums[c]);
      }
    }
  };
};

}  // namespace octavo::cpu::avx2
