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
};

}  // namespace octavo::cpu::neon_dotprod
