// Integers by NEON, whose bytes SDOT multiplies: four products of signed bytes a lane.
#pragma once

#include "integers_neon.h"

namespace octavo::cpu::neon_dotprod {

// Inputs are read four rows at a time; each product takes one row's lane of them.
struct Lanes {
  int8x16_t rows;
  int lane;

  static Lanes Load(const int8_t* fours, int row) {
    return {vld1q_s8(fours + row / 4 * 16), row % 4};
  }

  // The row's lane in all lanes.
  int8x16_t Broadcast() const {
    const int32x4_t lanes = vreinterpretq_s32_s8(rows);
    switch (lane) {
      case 0: return vreinterpretq_s8_s32(vdupq_laneq_s32(lanes, 0));
      case 1: return vreinterpretq_s8_s32(vdupq_laneq_s32(lanes, 1));
      case 2: return vreinterpretq_s8_s32(vdupq_laneq_s32(lanes, 2));
      default: return vreinterpretq_s8_s32(vdupq_laneq_s32(lanes, 3));
    }
  }
};

struct Integers : neon::Integers {
  using Inputs = Lanes;
  static Inputs Broadcast(const int8_t* fours, int row) { return Lanes::Load(fours, row); }

  static Ints AddFours(Ints sum, Bytes codes, Inputs inputs) {
    switch (inputs.lane) {
      case 0: return vdotq_laneq_s32(sum, codes, inputs.rows, 0);
      case 1: return vdotq_laneq_s32(sum, codes, inputs.rows, 1);
      case 2: return vdotq_laneq_s32(sum, codes, inputs.rows, 2);
      default: return vdotq_laneq_s32(sum, codes, inputs.rows, 3);
    }
  }
  static Ints AddTwos(Ints sum, Bytes words, Inputs inputs) {
    return neon::Integers::AddTwos(sum, words, inputs.Broadcast());
  }
};

}  // namespace octavo::cpu::neon_dotprod
