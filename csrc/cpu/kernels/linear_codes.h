// out = input · weightᵀ + bias for a weight of codes and inputs quantised to signed bytes. Products
// are added in integers, exactly, a group of columns at a time; groups are then folded in order:
//   sum = sum + Σ products × (weight scale × input scale), and, if there are minimums,
//   sum = sum + minimum × (input scale × Σ input codes),
// each one multiply-add. The sum begins with the products of the rows' outliers. Where the weight's
// scale is a row's, it multiplies the folded sum instead.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

// What a group of columns brings besides its codes.
enum class GroupHeader : uint8_t { kNone, kScales, kScalesAndMinimums };

// What integer products of a group are added to, for each unit of the sum of its input codes: codes
// are multiplied less D's `lowered`, and symmetric ones should be less the middle one.
static constexpr int StartOf(int middle, bool symmetric, int lowered) {
  return lowered - (symmetric ? middle : 0);
}

// D holds the products of codes of an instruction set (see code_products.h). A tile is at most
// D::kRows rows × C vectors of a panel's columns; its loops have constant bounds, so that compilers
// unroll a step of columns and keep the sums in registers.
template <class V, class D>
struct LinearCodes {
  static constexpr int kVectors = kPanel / V::kLanes;  // of columns in a panel
  static constexpr int kBlock = QuantizedRows::kBlock;
  static constexpr size_t kAhead = size_t{16}
                                   << 10;  // bytes: codes come from memory for the first rows
  static_assert(kBlock % D::kRows == 0, "a tile of rows lies in one block");

  using Ints = typename D::Ints;

  // R rows × C vectors over kStep columns: what the products add to `sums`.
  template <int kBits, int kStep, int R, int C>
  static OCTAVO_INLINE void Products(const typename D::template Dot<kBits>& dot,
                                     const uint8_t* codes, const int8_t* inputs,
                                     Ints (&sums)[R][C]) {
    using Dot = typename D::template Dot<kBits>;
    if constexpr (D::kPairs && R > 1) {
      return D::template PairProducts<Dot, kStep>(codes, kPanel * kBits, inputs, sums);
    }
    typename Dot::Sum parts[R][C];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) parts[r][c] = Dot::Start(sums[r][c]);
    }
    OCTAVO_UNROLL for (int four = 0; four < kStep / 4; ++four) {
      typename Dot::Weights weights[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const uint8_t* eight = codes + four / 2 * kPanel * kBits + c * V::kLanes * 4;
        weights[c] = dot.Load(eight, four % 2);
      }
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const auto x = Dot::Broadcast(inputs + four * Dot::kPlanes * kBlock * 4, r);
        if constexpr (Dot::kWide) {
          Dot::AddRow(weights, x, parts[r]);
        } else {
          OCTAVO_UNROLL for (int c = 0; c < C; ++c) parts[r][c] =
              Dot::Add(weights[c], x, parts[r][c]);
        }
      }
    }
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = Dot::Finish(parts[r][c], sums[r][c]);
    }
  }

  // What a tile asks for while it computes a step: so many bytes, this far ahead of the step's.
  struct Fetch {
    size_t ahead;
    int bytes;
  };

  // Columns of a step; group is 0 where it has several.
  static constexpr int StepOf(int group) { return group != 0 ? group : CodesLayout::kMostStep; }

  // What a step and its header take.
  template <int kBits, int kStep>
  static constexpr int StepBytes() {
    constexpr int kMostHeader = 2 * kPanel * 2;
    return RoundUp(kStep * kPanel * kBits / 8 + kMostHeader, kCacheLine);
  }

  // What a tile of so many that read a panel one after the other asks for. Asking for all of a
  // step takes a tenth of a tile's time, and only the first one gains by it; so each asks for its
  // share of the next panel.
  template <int kStepBytes>
  static Fetch FetchOf(const CodesLayout& layout, int tile, int tiles) {
    if (!D::kSharesFetching || tiles <= kVectors / 2) return {kAhead, kStepBytes};
    const int share = RoundUp((kStepBytes + tiles - 1) / tiles, kCacheLine);
    const int first = tile * share;
    return {layout.PanelBytes() + first, first < kStepBytes ? share : 0};
  }

  template <int kStepBytes>
  static OCTAVO_INLINE void PrefetchAhead(const uint8_t* step, const Fetch& fetch) {
    if (!D::kSharesFetching || fetch.bytes == kStepBytes) {
      OCTAVO_UNROLL for (int i = 0; i < kStepBytes; i += kCacheLine) V::Prefetch(step + kAhead + i);
    } else {
      for (int i = 0; i < fetch.bytes; i += kCacheLine) V::Prefetch(step + fetch.ahead + i);
    }
  }

  // Scales or minimums of a vector of columns, `column` of its panel the first.
  static V LoadHeader(const uint8_t* header, bool half, int column) {
    return half ? V::Load(reinterpret_cast<const Float16*>(header) + column)
                : V::Load(reinterpret_cast<const float*>(header) + column);
  }

  // Those of C vectors.
  template <class T, GroupHeader kHeader, int C>
  static OCTAVO_INLINE void LoadHeaders(const uint8_t* header, int column, V (&scales)[C],
                                        V (&minimums)[C]) {
    const T* at = reinterpret_cast<const T*>(header) + column;
    for (int c = 0; c < C; ++c) {
      scales[c] = V::Load(at + c * V::kLanes);
      if (kHeader == GroupHeader::kScalesAndMinimums)
        minimums[c] = V::Load(at + kPanel + c * V::kLanes);
    }
  }

  template <GroupHeader kHeader, int C>
  static OCTAVO_INLINE void LoadHeaders(const uint8_t* header, bool half, int column,
                                        V (&scales)[C], V (&minimums)[C]) {
    if (kHeader == GroupHeader::kNone) return;
    if (half) {
      LoadHeaders<Float16, kHeader>(header, column, scales, minimums);
    } else {
      LoadHeaders<float, kHeader>(header, column, scales, minimums);
    }
  }

  // Folds the sums of a group into the totals. `header` is the group's.
  template <GroupHeader kHeader, int R, int C>
  static OCTAVO_INLINE void Fold(const uint8_t* header, bool half, int column,
                                 const QuantizedRows::Group& rows, int first,
                                 const Ints (&sums)[R][C], V (&totals)[R][C]) {
    V scales[C], minimums[C];
    LoadHeaders<kHeader>(header, half, column, scales, minimums);
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
  template <int kBits, GroupHeader kHeader, int C>
  static OCTAVO_INLINE void Column(const typename D::template Dot<kBits>& dot,
                                   const CodesLayout& layout, const uint8_t* panel, int outputs,
                                   int column, V (&weights)[C]) {
    using Dot = typename D::template Dot<kBits>;
    const int group = column / layout.group, four = column % layout.group / 4;
    const uint8_t* header = panel + group * layout.GroupBytes();
    const uint8_t* codes = header + layout.HeaderBytes() + outputs * 4;
    int8_t block[kBlock * 4] = {};
    const auto x = Dot::One(column % 4, block);
    const Ints start =
        D::Set(StartOf(layout.Middle(), layout.symmetric, D::template Dot<kBits>::kLowered));
    V scales[C], minimums[C];
    LoadHeaders<kHeader>(header, layout.half, outputs, scales, minimums);
    OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
      const uint8_t* eight = codes + four / 2 * kPanel * kBits + c * V::kLanes * 4;
      const auto part = Dot::Add(dot.Load(eight, four % 2), x, Dot::Start(start));
      V weight = D::ToFloats(Dot::Finish(part, start));
      if (kHeader != GroupHeader::kNone) weight = weight * scales[c];
      if (kHeader == GroupHeader::kScalesAndMinimums) weight = weight + minimums[c];
      weights[c] = weight;
    }
  }

  // Adds the products of the rows' outliers. A row that has none in a column adds zeros.
  template <int kBits, GroupHeader kHeader, int R, int C>
  static OCTAVO_INLINE void AddOutliers(const typename D::template Dot<kBits>& dot,
                                        const LinearCodesArgs& args, int row, const uint8_t* panel,
                                        int outputs, V (&totals)[R][C]) {
    const QuantizedRows::Outliers& outliers = *args.input.OutliersOf(row);
    for (int i = 0; i < outliers.count; ++i) {
      const auto& outlier = outliers.columns[i];
      V weights[C];
      Column<kBits, kHeader, C>(dot, args.input.layout, panel, outputs, outlier.column, weights);
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const V number = V::Set(outlier.numbers[row % kBlock + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) totals[r][c] =
            V::Fma(weights[c], number, totals[r][c]);
      }
    }
  }

  // kGroup: columns of a group, 0 for several steps.
  template <int kBits, GroupHeader kHeader, int kGroup, int R, int C>
  static void Tile(const LinearCodesArgs& args, int row, int vector, const Fetch& fetch) {
    constexpr int kStep = StepOf(kGroup);
    using Dot = typename D::template Dot<kBits>;
    // Known where the header tells whether codes are symmetric.
    constexpr int kMiddle = 1 << (kBits - 1);
    constexpr bool kFromZero =
        kHeader != GroupHeader::kNone && Dot::kPlanes == 1 &&
        StartOf(kMiddle, kHeader == GroupHeader::kScales, Dot::kLowered) == 0;
    const QuantizedRows& input = args.input;
    const CodesLayout& layout = input.layout;
    const Dot dot(layout);
    const size_t header_bytes = layout.whole_row ? 0 : layout.HeaderBytes();
    const uint8_t* panel = args.weight + vector / kVectors * layout.PanelBytes();
    const int column = vector % kVectors * V::kLanes;  // of the panel
    V totals[R][C];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) totals[r][c] = V::Set(0);
    }
    if (CodesLayout::KeepsOutliers(kBits))
      AddOutliers<kBits, kHeader, R, C>(dot, args, row, panel, column, totals);
    const uint8_t* at = panel + (layout.whole_row ? layout.HeaderBytes() : 0);
    const int8_t* inputs = input.CodesOf(row, 0);
    const int in_block = row % kBlock;
    const QuantizedRows::Group* rows = input.GroupsOf(row);
    for (int left = layout.Padded(); left > 0; left -= layout.group, ++rows) {
      Ints sums[R][C];
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const Ints start = kFromZero ? D::Zero() : D::Set(rows->starts[in_block + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = start;
      }
      const uint8_t* header = at;
      at += header_bytes;
      int steps = kGroup != 0 ? 1 : (left < layout.group ? left : layout.group) / kStep;
      do {
        PrefetchAhead<StepBytes<kBits, kStep>()>(at, fetch);
        Products<kBits, kStep, R, C>(dot, at + column * 4, inputs, sums);
        at += kStep * kPanel * kBits / 8;
        inputs += kStep * kBlock * Dot::kPlanes;
      } while (--steps > 0);
      Fold<kHeader, R, C>(header, layout.half, column, *rows, in_block, sums, totals);
    }
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        V total = totals[r][c];
        if (kHeader == GroupHeader::kNone)
          total = ScaleRow(layout, panel, column + c * V::kLanes, input.row_sums[row + r], total);
        Store(total, args, (vector + c) * V::kLanes, args.out + int64_t{row + r} * args.n);
      }
    }
  }

  // What a scale and a minimum a row make of the sum of its groups.
  static V ScaleRow(const CodesLayout& layout, const uint8_t* header, int column, float row_sum,
                    V total) {
    const V scaled = total * LoadHeader(header, layout.half, column);
    if (layout.symmetric) return scaled;
    const V minimums = LoadHeader(header + layout.HeaderBytes() / 2, layout.half, column);
    return V::Fma(minimums, V::Set(row_sum), scaled);
  }

  // Writes the columns of a vector that are below n.
  static void Store(V sum, const LinearCodesArgs& args, int column, float* row) {
    if (column >= args.n) return;
    if (args.bias != nullptr) sum = sum + V::Load(args.bias + column);
    Math<V>::StoreFirst(sum, args.n - column, row + column);
  }

  // Calls the tile of that many rows, at most R.
  template <int kBits, GroupHeader kHeader, int kGroup, int R, int C>
  static void Dispatch(const LinearCodesArgs& args, int row, int rows, int vector,
                       const Fetch& fetch) {
    if (rows < R) {
      if constexpr (R > 1)
        Dispatch<kBits, kHeader, kGroup, R - 1, C>(args, row, rows, vector, fetch);
    } else {
      Tile<kBits, kHeader, kGroup, R, C>(args, row, vector, fetch);
    }
  }

  template <int kBits, GroupHeader kHeader, int kGroup>
  static void Panels(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    constexpr int kWide = kVectors < 4 ? kVectors : 4;
    if (kWide > 2 && (D::template Dot<kBits>::kWide || last_row - first_row <= D::kRows / 2))
      Tiles<kBits, kHeader, kGroup, D::kRows / 2, kWide>(args, first_panel, last_panel, first_row,
                                                         last_row);
    else
      Tiles<kBits, kHeader, kGroup, D::kRows, 2>(args, first_panel, last_panel, first_row,
                                                 last_row);
  }

  // All tiles, of R rows × C vectors.
  template <int kBits, GroupHeader kHeader, int kGroup, int R, int C>
  static void Tiles(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                    int last_row) {
    constexpr int kStepBytes = StepBytes<kBits, StepOf(kGroup)>();
    const int tiles = (last_row - first_row + R - 1) / R;  // of rows
    for (int vector = first_panel * kVectors; vector < last_panel * kVectors; vector += C) {
      int tile = vector % kVectors / C * tiles;  // of those that read the panel
      for (int row = first_row; row < last_row; row += R, ++tile) {
        const int rows = last_row - row < R ? last_row - row : R;
        const Fetch fetch = FetchOf<kStepBytes>(args.input.layout, tile, tiles * kVectors / C);
        Dispatch<kBits, kHeader, kGroup, R, C>(args, row, rows, vector, fetch);
      }
    }
  }

  template <int kBits, GroupHeader kHeader>
  static void Groups(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    switch (args.input.layout.group) {
      case 16:
        return Panels<kBits, kHeader, 16>(args, first_panel, last_panel, first_row, last_row);
      case 32:
        return Panels<kBits, kHeader, 32>(args, first_panel, last_panel, first_row, last_row);
      default: return Panels<kBits, kHeader, 0>(args, first_panel, last_panel, first_row, last_row);
    }
  }

  template <int kBits>
  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.whole_row) {
      Panels<kBits, GroupHeader::kNone, CodesLayout::kWholeRowGroup>(args, first_panel, last_panel,
                                                                     first_row, last_row);
    } else if (args.input.layout.symmetric) {
      Groups<kBits, GroupHeader::kScales>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Groups<kBits, GroupHeader::kScalesAndMinimums>(args, first_panel, last_panel, first_row,
                                                     last_row);
    }
  }

  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.bits == 8) {
      Run<8>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Run<4>(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
