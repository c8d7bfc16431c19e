// Products of codes that choose one of 16 levels (CodesLayout::leveled). A level's lower and upper
// 7 bits are looked up and multiplied apart; both sums together are exact in 32 bits.
#pragma once

#include "code_products.h"
#include "linear_codes.h"

namespace octavo::cpu {

// D: the products of codes of an instruction set.
template <class D>
struct LevelProducts : D {
  static constexpr int kRows = D::kRows / 2;  // of a tile: two sums each
  static constexpr bool kPairs = false;

  using typename D::Bytes;
  using typename D::Ints;

  template <int kBits>
  struct Dot : SignedInputs<D> {
    static constexpr int kLowered = 0;

    explicit Dot(const CodesLayout& layout)
        : low(D::LoadTable(layout.low)), high(D::LoadTable(layout.high)) {}

    struct Weights {
      Bytes low, high;
    };
    struct Sum {
      Ints low, high;
    };

    static Sum Start(Ints sums) { return {sums, D::Zero()}; }
    static Ints Finish(Sum parts, Ints) {
      return D::Plus(parts.low, D::ShiftLeft(parts.high, CodesLayout::kLowBits));
    }

    Weights Load(const uint8_t* eight, int half) const {
      const Bytes codes = D::LoadHalves(eight, half);
      return {D::LookUp(low, codes), D::LookUp(high, codes)};
    }

    static Sum Add(const Weights& weights, typename D::Inputs inputs, Sum sum) {
      return {D::AddFours(sum.low, weights.low, inputs),
              D::AddFours(sum.high, weights.high, inputs)};
    }

    Bytes low, high;
  };
};

template <class V, class D>
struct LinearAnyCodes {
  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.leveled) {
      LinearCodes<V, LevelProducts<D>>::template Groups<4, GroupHeader::kScales>(
          args, first_panel, last_panel, first_row, last_row);
    } else {
      LinearCodes<V, D>::Run(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
