// Integers by NEON, four columns a vector.
#pragma once

#include "../kernels.h"
#include "vec_neon.h"

namespace octavo::cpu::neon {

struct Integers {
  static constexpr int kRows = 8;  // of a tile

  using Ints = int32x4_t;
  static Ints Zero() { return vdupq_n_s32(0); }
  static Ints Set(int32_t value) { return vdupq_n_s32(value); }
  static Ints Plus(Ints a, Ints b) { return vaddq_s32(a, b); }
  static Vec ToFloats(Ints ints) { return {vcvtq_f32_s32(ints)}; }

  static Ints Rounded(Vec x) { return vcvtnq_s32_f32(x.v); }
  static void StoreBytes(const Ints (&ints)[8], int8_t* to) {
    for (int i = 0; i < 8; i += 4, to += 16) {
      const int16x8_t low = vcombine_s16(vmovn_s32(ints[i]), vmovn_s32(ints[i + 1]));
      const int16x8_t high = vcombine_s16(vmovn_s32(ints[i + 2]), vmovn_s32(ints[i + 3]));
      vst1q_s8(to, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
    }
  }
  static void StoreWords(const Ints (&ints)[8], int16_t* to) {
    for (const Ints& lanes : ints) vst1_s16(to, vmovn_s32(lanes)), to += 4;
  }
  static Ints Magnitudes(Vec x) {
    return vandq_s32(vreinterpretq_s32_f32(x.v), vdupq_n_s32(0x7fffffff));
  }
  static Ints Max(Ints a, Ints b) { return vmaxq_s32(a, b); }
  static int32_t Largest(Ints ints) { return vmaxvq_s32(ints); }

  // Sixteen columns of four rows at a time.
  static void StoreFours(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
    for (int i = 0; i < columns; i += 16) {
      for (int first = 0; first < 8; first += 4) {
        int8x16_t bytes[4];
        for (int r = 0; r < 4; ++r) {
          bytes[r] = vld1q_s8(rows[first + r] + i);
          sums[first + r] += vaddlvq_s8(bytes[r]);
        }
        int32x4_t fours[4];
        Transpose(bytes, fours);
        for (int j = 0; j < 4; ++j)
          vst1q_s8(to + (i + 4 * j) * 8 + 4 * first, vreinterpretq_s8_s32(fours[j]));
      }
    }
  }

  // Rows of four 32-bit words become columns of them.
  static void Transpose(const int8x16_t (&rows)[4], int32x4_t (&columns)[4]) {
    int64x2_t pairs[4];
    for (int i = 0; i < 4; i += 2) {
      const int32x4_t a = vreinterpretq_s32_s8(rows[i]), b = vreinterpretq_s32_s8(rows[i + 1]);
      pairs[i] = vreinterpretq_s64_s32(vtrn1q_s32(a, b));
      pairs[i + 1] = vreinterpretq_s64_s32(vtrn2q_s32(a, b));
    }
    for (int i = 0; i < 2; ++i) {
      columns[i] = vreinterpretq_s32_s64(vtrn1q_s64(pairs[i], pairs[i + 2]));
      columns[i + 2] = vreinterpretq_s32_s64(vtrn2q_s64(pairs[i], pairs[i + 2]));
    }
  }

  using Inputs = int8x16_t;
  static Inputs Broadcast(const int8_t* fours, int row) {
    int32_t four;
    std::memcpy(&four, fours + 4 * row, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }

  // All bytes are signed.
  static constexpr int kLowered = 128;
  using Bytes = int8x16_t;
  static Bytes LoadBytes(const uint8_t* from) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(from), vdupq_n_u8(0x80)));
  }
  static Bytes LoadHalves(const uint8_t* from, int half) {
    const uint8x16_t codes = vld1q_u8(from);
    return vreinterpretq_s8_u8(half == 0 ? vandq_u8(codes, vdupq_n_u8(15)) : vshrq_n_u8(codes, 4));
  }
  static Bytes LoadWords(const uint8_t* from) { return vreinterpretq_s8_u8(vld1q_u8(from)); }
  static Bytes LoadTable(const uint8_t* numbers) { return vreinterpretq_s8_u8(vld1q_u8(numbers)); }
  static Bytes LookUp(Bytes table, Bytes halves) {
    return vqtbl1q_s8(table, vreinterpretq_u8_s8(halves));
  }
  static Ints ShiftLeft(Ints ints, int bits) { return vshlq_s32(ints, vdupq_n_s32(bits)); }

  static constexpr bool kPairs = false;
  // A pair of products is at most 2 × 128 × 127 and fits 16 bits.
  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    const int16x8_t low = vmull_s8(vget_low_s8(codes), vget_low_s8(inputs));
    return vpadalq_s16(sum, vpaddq_s16(low, vmull_high_s8(codes, inputs)));
  }
  static Ints AddTwos(Ints sum, Bytes words, Inputs inputs) {
    const int16x8_t a = vreinterpretq_s16_s8(words), b = vreinterpretq_s16_s8(inputs);
    const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
    return vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(a, b)));
  }
};

}  // namespace octavo::cpu::neon
