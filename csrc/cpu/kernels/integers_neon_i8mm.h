// Integers by NEON, whose bytes the instructions of i8mm multiply: USDOT four products of unsigned
// codes and signed inputs a lane; USMMLA eight products for each of two columns and two rows.
#pragma once

#include "integers_neon_dotprod.h"

namespace octavo::cpu::neon_i8mm {

struct Integers : neon_dotprod::Integers {
  static constexpr int kLowered = 0;
  static Bytes LoadBytes(const uint8_t* from) { return vreinterpretq_s8_u8(vld1q_u8(from)); }

  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    const uint8x16_t weights = vreinterpretq_u8_s8(codes);
    switch (inputs.lane) {
      case 0: return vusdotq_laneq_s32(sum, weights, inputs.rows, 0);
      case 1: return vusdotq_laneq_s32(sum, weights, inputs.rows, 1);
      case 2: return vusdotq_laneq_s32(sum, weights, inputs.rows, 2);
      default: return vusdotq_laneq_s32(sum, weights, inputs.rows, 3);
    }
  }

  static constexpr bool kPairs = true;

  // Two vectors of words, taking turns: those of the first two columns or rows, and of the others.
  struct Zipped {
    int32x4_t low, high;

    Zipped() = default;
    Zipped(int32x4_t first, int32x4_t second)
        : low(vzip1q_s32(first, second)), high(vzip2q_s32(first, second)) {}
  };

  // Sums lie in squares of two columns × two rows, `low` of columns 0 and 1, `high` of 2 and 3.
  template <class Dot, int kStep, int R, int C>
  static OCTAVO_INLINE void PairProducts(const uint8_t* codes, int64_t eight_bytes,
                                         const int8_t* inputs, Ints (&sums)[R][C]) {
    constexpr int kPairsOfRows = (R + 1) / 2, kBlock = QuantizedRows::kBlock;
    Zipped squares[kPairsOfRows][C];
    OCTAVO_UNROLL for (int p = 0; p < kPairsOfRows; ++p) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        squares[p][c] = {sums[2 * p][c], 2 * p + 1 < R ? sums[2 * p + 1][c] : Zero()};
      }
    }
    OCTAVO_UNROLL for (int eight = 0; eight < kStep / 8; ++eight) {
      Zipped weights[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const uint8_t* at = codes + eight * eight_bytes + c * 16;
        weights[c] = {vreinterpretq_s32_s8(Dot::Load(at, 0)),
                      vreinterpretq_s32_s8(Dot::Load(at, 1))};
      }
      OCTAVO_UNROLL for (int p = 0; p < kPairsOfRows; ++p) {
        const int8_t* at = inputs + eight * 8 * kBlock + p / 2 * 16;
        const Zipped rows(LoadInts(at), LoadInts(at + 4 * kBlock));
        const int8x16_t pair = vreinterpretq_s8_s32(p % 2 == 0 ? rows.low : rows.high);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
          Zipped& square = squares[p][c];
          square.low = vusmmlaq_s32(square.low, vreinterpretq_u8_s32(weights[c].low), pair);
          square.high = vusmmlaq_s32(square.high, vreinterpretq_u8_s32(weights[c].high), pair);
        }
      }
    }
    OCTAVO_UNROLL for (int p = 0; p < kPairsOfRows; ++p) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const Zipped& square = squares[p][c];
        sums[2 * p][c] = vuzp1q_s32(square.low, square.high);
        if (2 * p + 1 < R) sums[2 * p + 1][c] = vuzp2q_s32(square.low, square.high);
      }
    }
  }

  static int32x4_t LoadInts(const int8_t* from) { return vreinterpretq_s32_s8(vld1q_s8(from)); }
};

}  // namespace octavo::cpu::neon_i8mm
