// The outliers of rows of inputs (QuantizedRows::Outliers) beside a strip of a weight of codes.
#pragma once

#include "code_strips.h"

namespace octavo::cpu {

// What integer products of a group are added to, for each unit of the sum of its input codes: codes
// are multiplied less D's `lowered`, and symmetric ones should be less the middle one.
static constexpr int StartOf(int middle, bool symmetric, int lowered) {
  return lowered - (symmetric ? middle : 0);
}

// The products of one block's outliers: what its tiles of rows begin with.
template <class V, class D, class Strip>
struct StripOutliers {
  using Dot = typename Strip::Dot;
  using Ints = typename D::Ints;
  static constexpr int C = Strip::kWidth, kBlock = QuantizedRows::kBlock;

  // Looks up the weights of the block's columns, in the strip that begins with `vector`.
  void Find(const LinearCodesArgs& args, int row, int vector) {
    block = args.input.OutliersOf(row);
    Strip strip(args, vector);
    const Dot dot(args.input.layout);
    for (int i = 0; i < block->count; ++i)
      Column(dot, &strip, block->columns[i].column, weights[i]);
  }

  // What the header makes of the codes of one column. They are found as the products of one.
  static OCTAVO_INLINE void Column(const Dot& dot, Strip* strip, int column, V (&weights)[C]) {
    const CodesLayout& layout = strip->layout;
    int8_t ones[kBlock * 4] = {};
    const auto x = Dot::One(column % 4, ones);
    const Ints start = D::Set(StartOf(layout.Middle(), layout.symmetric, Dot::kLowered));
    strip->GoTo(column / layout.group);
    V scales[C], minimums[C];
    strip->LoadHeaders(scales, minimums);
    OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
      const auto codes = strip->Load(dot, column % layout.group / 4, c);
      const auto part = Dot::Add(codes, x, Dot::Start(start));
      V weight = D::ToFloats(Dot::Finish(part, start));
      if (Strip::kHeader != GroupHeader::kNone) weight = weight * scales[c];
      if (Strip::kHeader == GroupHeader::kScalesAndMinimums) weight = weight + minimums[c];
      weights[c] = weight;
    }
  }

  // Adds the products of R rows of the block. A row that has none in a column adds zeros.
  template <int R>
  OCTAVO_INLINE void Add(int row, V (&totals)[R][C]) const {
    for (int i = 0; i < block->count; ++i) {
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const V number = V::Set(block->columns[i].numbers[row % kBlock + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) totals[r][c] =
            V::Fma(weights[i][c], number, totals[r][c]);
      }
    }
  }

  const QuantizedRows::Outliers* block = nullptr;
  V weights[QuantizedRows::Outliers::kMost * kBlock][C];
};

}  // namespace octavo::cpu
