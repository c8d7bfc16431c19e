// Products of codes that choose one of 16 levels (CodesLayout::leveled). A level's lower and upper
// 7 bits are looked up and multiplied apart; both sums together are exact in 32 bits.
#pragma once

#include "linear_codes.h"

namespace octavo::cpu {

// L: the integer products D of an instruction set, those of 4 bits with levels.
template <class V, class D, class L>
struct LinearAnyCodes {
  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.leveled) {
      LinearCodes<V, L>::template Groups<4, GroupHeader::kScales>(args, first_panel, last_panel,
                                                                  first_row, last_row);
    } else {
      LinearCodes<V, D>::Run(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
