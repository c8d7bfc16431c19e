// A tile of products of codes: at most D::kRows rows × C vectors of a panel's outputs. Its loops
// have constant bounds, so that compilers unroll a step of columns and keep the sums in registers.
#pragma once

#include "panel_codes.h"

namespace octavo::cpu {

// What integer products of a group are added to, for each unit of the sum of its input codes: codes
// are multiplied less D's `lowered`, and symmetric ones should be less the middle one.
static constexpr int StartOf(int middle, bool symmetric, int lowered) {
  return lowered - (symmetric ? middle : 0);
}

// Where a tile is: outputs of a panel from one on, and the columns whose products it adds up.
struct TilePlace {
  const uint8_t* panel;
  int number, output;  // the panel's, and of its outputs
  int begin, end, first_group;

  int Output() const { return number * kPanel + output; }  // of the matrix
};

template <class V, class D, int kBits, GroupHeader kHeader>
struct CodesTile {
  using Dot = typename D::template Dot<kBits>;
  using Ints = typename D::Ints;
  static constexpr int kBlock = QuantizedRows::kBlock;
  static_assert(kBlock % D::kRows == 0, "a tile of rows lies in one block");

  // R rows × C vectors over kStep columns: what the products add to `sums`.
  template <int kStep, class Reader, int R, int C>
  static OCTAVO_INLINE void Products(const Reader& codes, const int8_t* inputs,
                                     Ints (&sums)[R][C]) {
    if constexpr (D::kPairs && R > 1) {
      return D::template PairProducts<Dot, kStep>(codes.codes(), Reader::kEightBytes, inputs, sums);
    } else {
      typename Dot::Sum parts[R][C];
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) parts[r][c] = Dot::Start(sums[r][c]);
      }
      OCTAVO_UNROLL for (int four = 0; four < kStep / 4; ++four) {
        typename Dot::Weights weights[C];
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) weights[c] = codes.Load(four, c);
        OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
          const auto x = D::Broadcast(inputs + four * kBlock * 4, r);
          OCTAVO_UNROLL for (int c = 0; c < C; ++c) parts[r][c] =
              Dot::Add(weights[c], x, parts[r][c]);
        }
      }
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = Dot::Finish(parts[r][c], sums[r][c]);
      }
    }
  }

  // Folds the sums of a group into the totals.
  template <class Reader, int R, int C>
  static OCTAVO_INLINE void Fold(const Reader& codes, const QuantizedRows::Group& rows, int first,
                                 const Ints (&sums)[R][C], V (&totals)[R][C]) {
    V scales[C], minimums[C];
    codes.Headers(scales, minimums);
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      const V row_scale = V::Set(rows.scales[first + r]);
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const V scale = kHeader == GroupHeader::kNone ? row_scale : scales[c] * row_scale;
        V total = V::Fma(D::ToFloats(sums[r][c]), scale, totals[r][c]);
        if (kHeader == GroupHeader::kScalesAndMinimums)
          total = V::Fma(minimums[c], V::Set(rows.sums[first + r]), total);
        totals[r][c] = total;
      }
    }
  }

  // What the header makes of the codes of one column of the weight, for C vectors of outputs. The
  // codes are found as the products of one.
  template <int C>
  static OCTAVO_INLINE void Column(const CodesLayout& layout, const TilePlace& at, int column,
                                   V (&weights)[C]) {
    const uint8_t* group = at.panel + column / layout.group * layout.GroupBytes();
    typename PanelCodes<V, D, kBits, kHeader>::Packed codes(layout, group, at.output);
    codes.BeginGroup();
    codes.GoTo(column % layout.group);
    int8_t block[kBlock * 4] = {};  // of inputs, whose first row is one there
    block[column % 4] = 1;
    const auto x = D::Broadcast(block, 0);
    const Ints start = D::Set(StartOf(layout.Middle(), layout.symmetric, Dot::kLowered));
    V scales[C], minimums[C];
    codes.Headers(scales, minimums);
    OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
      const auto part = Dot::Add(codes.Load(column / 4 % 2, c), x, Dot::Start(start));
      V weight = D::ToFloats(Dot::Finish(part, start));
      if (kHeader != GroupHeader::kNone) weight = weight * scales[c];
      if (kHeader == GroupHeader::kScalesAndMinimums) weight = weight + minimums[c];
      weights[c] = weight;
    }
  }

  // Adds the products of the rows' outliers. A row that has none in a column adds zeros.
  template <int R, int C>
  static OCTAVO_INLINE void AddOutliers(const LinearCodesArgs& args, const TilePlace& at, int row,
                                        V (&totals)[R][C]) {
    const QuantizedRows::Outliers& outliers = *args.input.OutliersOf(row);
    for (int i = 0; i < outliers.count; ++i) {
      const auto& outlier = outliers.columns[i];
      V weights[C];
      Column(args.input.layout, at, outlier.column, weights);
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const V number = V::Set(outlier.numbers[row % kBlock + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) totals[r][c] =
            V::Fma(weights[c], number, totals[r][c]);
      }
    }
  }

  // What the columns before have left, or the outliers.
  template <bool kAllColumns, int R, int C>
  static OCTAVO_INLINE void Begin(const LinearCodesArgs& args, const TilePlace& at, int row,
                                  V (&totals)[R][C]) {
    const bool first = kAllColumns || at.begin == 0;
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const int output = at.Output() + c * V::kLanes;
        totals[r][c] = V::Set(0);
        if (first || output >= args.n) continue;
        const float* before = args.out + int64_t{row + r} * args.n + output;
        totals[r][c] = Math<V>::LoadFirst(before, args.n - output, 0);
      }
    }
    if (CodesLayout::KeepsOutliers(kBits) && first) AddOutliers(args, at, row, totals);
  }

  // Writes the totals, as they are where more columns follow.
  template <bool kAllColumns, int R, int C>
  static OCTAVO_INLINE void End(const LinearCodesArgs& args, const TilePlace& at, int row,
                                const V (&totals)[R][C]) {
    const QuantizedRows& input = args.input;
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const int output = at.Output() + c * V::kLanes;
        if (output >= args.n) continue;
        V total = totals[r][c];
        if (kAllColumns || at.end == input.padded) {
          if (kHeader == GroupHeader::kNone)
            total = ScaleRow(input.layout, at.panel, at.output + c * V::kLanes,
                             input.row_sums[row + r], total);
          if (args.bias != nullptr) total = total + V::Load(args.bias + output);
        }
        Math<V>::StoreFirst(total, args.n - output, args.out + int64_t{row + r} * args.n + output);
      }
    }
  }

  // R rows × C vectors of a panel. kGroup: columns of a group, 0 for several steps.
  template <int kGroup, int R, int C, class Reader>
  static void Run(const LinearCodesArgs& args, const TilePlace& at, Reader codes, int row) {
    constexpr int kStep = kGroup != 0 ? kGroup : CodesLayout::kMostStep;
    // Known where the header tells whether codes are symmetric.
    constexpr int kMiddle = 1 << (kBits - 1);
    constexpr bool kFromZero =
        kHeader != GroupHeader::kNone &&
        StartOf(kMiddle, kHeader == GroupHeader::kScales, Dot::kLowered) == 0;
    V totals[R][C];
    Begin<Reader::kAllColumns>(args, at, row, totals);
    const int group = args.input.layout.group;
    const int8_t* inputs = args.input.CodesOf(row, at.begin);
    const int in_block = row % kBlock;
    const QuantizedRows::Group* rows = args.input.GroupsOf(row) + at.first_group;
    for (int left = at.end - at.begin; left > 0; left -= group, ++rows) {
      Ints sums[R][C];
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const Ints start = kFromZero ? D::Zero() : D::Set(rows->starts[in_block + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = start;
      }
      codes.BeginGroup();
      int steps = kGroup != 0 ? 1 : (left < group ? left : group) / kStep;
      do {
        codes.template BeginStep<kStep>();
        Products<kStep>(codes, inputs, sums);
        inputs += kStep * kBlock;
      } while (--steps > 0);
      Fold(codes, *rows, in_block, sums, totals);
    }
    End<Reader::kAllColumns>(args, at, row, totals);
  }

  // What a scale and a minimum a row make of the sum of its groups.
  static V ScaleRow(const CodesLayout& layout, const uint8_t* header, int column, float row_sum,
                    V total) {
    const V scaled = total * LoadHeader(header, layout.half, column);
    if (layout.symmetric) return scaled;
    const V minimums = LoadHeader(header + layout.HeaderBytes() / 2, layout.half, column);
    return V::Fma(minimums, V::Set(row_sum), scaled);
  }

  static V LoadHeader(const uint8_t* header, bool half, int column) {
    return half ? V::Load(reinterpret_cast<const Float16*>(header) + column)
                : V::Load(reinterpret_cast<const float*>(header) + column);
  }
};

}  // namespace octavo::cpu
