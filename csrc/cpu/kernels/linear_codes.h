// out = input · weightᵀ + bias for a weight of codes and inputs quantised to signed bytes. Products
// are added in integers, exactly, a group of columns at a time; groups are then folded in order:
//   sum = sum + Σ products × (weight scale × input scale), and, if there are minimums,
//   sum = sum + minimum × (input scale × Σ input codes),
// each one multiply-add. The sum begins with the products of the rows' outliers. Where the weight's
// scale is a row's, it multiplies the folded sum instead.
#pragma once

#include "code_outliers.h"
#include "code_strips.h"
#include "fetching.h"
#include "vector_math.h"

namespace octavo::cpu {

// D holds the products of codes of an instruction set (see code_products.h). A tile is at most
// D::kRows rows × C vectors of a panel's columns; its loops have constant bounds, so that compilers
// unroll a step of columns and keep the sums in registers.
template <class V, class D>
struct LinearCodes {
  static constexpr int kVectors = kPanel / V::kLanes;  // of columns in a panel
  static constexpr int kBlock = QuantizedRows::kBlock;
  // Bytes: codes come from memory for the first rows.
  static constexpr size_t kAhead = size_t{16} << 10;
  static constexpr int kRowsToOpen = 32;  // of inputs, from which on opening pays
  static_assert(kBlock % D::kRows == 0, "a tile of rows lies in one block");

  using Ints = typename D::Ints;

  // R rows × C vectors over a step of columns: what the products add to `sums`.
  template <class Strip, int kStep, int R, int C>
  static OCTAVO_INLINE void Products(const typename Strip::Dot& dot, const Strip& strip,
                                     const int8_t* inputs, Ints (&sums)[R][C]) {
    using Dot = typename Strip::Dot;
    if constexpr (D::kPairs && Strip::kBits < CodesLayout::kWordBits && R > 1) {
      return D::template PairProducts<Dot, kStep>(strip.codes, Strip::kEightBytes, inputs, sums);
    }
    typename Dot::Sum parts[R][C];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) parts[r][c] = Dot::Start(sums[r][c]);
    }
    OCTAVO_UNROLL for (int i = 0; i < kStep / Dot::kColumns; ++i) {
      const int8_t* block = inputs + i * Dot::kColumns * Dot::kPlanes * kBlock;
      typename Dot::Weights weights[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) weights[c] = strip.Load(dot, i, c);
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const auto x = Dot::Broadcast(block, r);
        if constexpr (Dot::kByRows) {
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

  // What a step and its header take.
  template <int kBits, int kStep>
  static constexpr int StepBytes() {
    constexpr int kMostHeader = 2 * kPanel * 2;
    return RoundUp(kStep * kPanel * kBits / 8 + kMostHeader, kCacheLine);
  }

  // What a tile of so many that read a strip's panels one after the other asks for, of each. Asking
  // for all of a step takes a tenth of a tile's time, and only the first one gains by it; so each
  // asks for its share of the next panels.
  template <class Strip, int kStepBytes>
  static Fetch FetchOf(const CodesLayout& layout, int tile, int tiles) {
    if (!D::kSharesFetching || tiles <= kVectors / 2) return {kAhead, kStepBytes};
    const Lines share = ShareOf(kStepBytes / kCacheLine, tile, tiles);
    return {Strip::kPanels * layout.PanelBytes() + share.first * kCacheLine,
            share.count * kCacheLine};
  }

  // An opened strip may fill the first-level cache, so what comes next waits in the second.
  template <class Strip, int kStepBytes>
  static OCTAVO_INLINE void PrefetchAhead(const Strip& strip, const Fetch& fetch) {
    OCTAVO_UNROLL for (int panel = 0; panel < Strip::kPanels; ++panel) {
      const uint8_t* at = strip.At(panel);
      if (!D::kSharesFetching || fetch.bytes == kStepBytes) {
        OCTAVO_UNROLL for (int i = 0; i < kStepBytes; i += kCacheLine) V::Prefetch(at + kAhead + i);
      } else {
        for (int i = 0; i < fetch.bytes; i += kCacheLine) {
          const uint8_t* line = at + fetch.ahead + i;
          Strip::kOpened ? V::PrefetchFar(line) : V::Prefetch(line);
        }
      }
    }
  }

  // Folds the sums of the strip's group into the totals.
  template <class Strip, int R, int C>
  static OCTAVO_INLINE void Fold(const Strip& strip, const QuantizedRows::Group& rows, int first,
                                 const Ints (&sums)[R][C], V (&totals)[R][C]) {
    constexpr GroupHeader kHeader = Strip::kHeader;
    V scales[C], minimums[C];
    strip.LoadHeaders(scales, minimums);
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

  // R rows × a strip that begins with `vector`. kGroup: columns of a group, 0 for several steps.
  template <class Strip, int kGroup, int R>
  static void Tile(const LinearCodesArgs& args, int row, int vector,
                   const StripOutliers<V, D, Strip>& outliers, const Fetch& fetch) {
    constexpr int kStep = StepOf(kGroup), C = Strip::kWidth;
    constexpr GroupHeader kHeader = Strip::kHeader;
    using Dot = typename Strip::Dot;
    // Known of words, and where the header tells whether codes are symmetric.
    constexpr int kMiddle = 1 << (Strip::kBits - 1);
    constexpr bool kFromZero =
        Strip::kBits == CodesLayout::kWordBits ||
        (kHeader != GroupHeader::kNone && Dot::kPlanes == 1 &&
         StartOf(kMiddle, kHeader == GroupHeader::kScales, Dot::kLowered) == 0);
    const QuantizedRows& input = args.input;
    const CodesLayout& layout = input.layout;
    const Dot dot(layout);
    Strip strip(args, vector);
    V totals[R][C];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) totals[r][c] = V::Set(0);
    }
    if constexpr (CodesLayout::KeepsOutliers(Strip::kBits)) outliers.Add(row, totals);
    const int8_t* inputs = input.CodesOf(row, 0);
    const int in_block = row % kBlock;
    const QuantizedRows::Group* rows = input.GroupsOf(row);
    for (int left = layout.Padded(); left > 0; left -= layout.group, ++rows) {
      Ints sums[R][C];
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const Ints start = kFromZero ? D::Zero() : D::Set(rows->starts[in_block + r]);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = start;
      }
      strip.BeginGroup();
      int steps = kGroup != 0 ? 1 : (left < layout.group ? left : layout.group) / kStep;
      do {
        PrefetchAhead<Strip, StepBytes<Strip::kBits, kStep>()>(strip, fetch);
        Products<Strip, kStep>(dot, strip, inputs, sums);
        strip.template NextStep<kStep>();
        inputs += kStep * kBlock * Dot::kPlanes;
      } while (--steps > 0);
      Fold(strip, *rows, in_block, sums, totals);
    }
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        V total = totals[r][c];
        if constexpr (kHeader == GroupHeader::kNone)
          total = strip.ScaleRow(c, input.row_sums[row + r], total);
        Store(total, args, (vector + c) * V::kLanes, args.out + int64_t{row + r} * args.n);
      }
    }
  }

  // Writes the columns of a vector that are below n.
  static void Store(V sum, const LinearCodesArgs& args, int column, float* row) {
    if (column >= args.n) return;
    if (args.bias != nullptr) sum = sum + V::Load(args.bias + column);
    Math<V>::StoreFirst(sum, args.n - column, row + column);
  }

  // Calls the tile of that many rows, at most R.
  template <class Strip, int kGroup, int R>
  static void Dispatch(const LinearCodesArgs& args, int row, int rows, int vector,
                       const StripOutliers<V, D, Strip>& outliers, const Fetch& fetch) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<Strip, kGroup, R - 1>(args, row, rows, vector, outliers, fetch);
    } else {
      Tile<Strip, kGroup, R>(args, row, vector, outliers, fetch);
    }
  }

  template <int kBits, GroupHeader kHeader, int kGroup>
  static void Panels(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    using Dot = DotOf<D, kBits>;
    using Wide = PackedStrip<V, D, kBits, kHeader, 4>;
    using Narrow = PackedStrip<V, D, kBits, kHeader, 2>;
    constexpr bool kOnePanel = Wide::kPanels == 1;
    const int rows = last_row - first_row;
    if constexpr (Dot::kOpens && kHeader != GroupHeader::kNone) {
      if (args.opened != nullptr && rows >= kRowsToOpen)
        return Tiles<OpenedStrip<V, D, kHeader, 2>, kGroup, D::kRows>(args, first_panel, last_panel,
                                                                      first_row, last_row);
    }
    int panel = first_panel;
    if constexpr (kOnePanel || Dot::kWide) {
      // Few rows wait for memory, which reads one panel after the other the fastest.
      if (kOnePanel ? Dot::kWide || rows <= D::kRows / 2 : rows > kBlock) {
        panel = last_panel - (last_panel - first_panel) % Wide::kPanels;
        Tiles<Wide, kGroup, D::kRows / 2>(args, first_panel, panel, first_row, last_row);
      }
    }
    Tiles<Narrow, kGroup, D::kRows>(args, panel, last_panel, first_row, last_row);
  }

  // All tiles, of R rows × a strip.
  template <class Strip, int kGroup, int R>
  static void Tiles(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                    int last_row) {
    constexpr int kStep = StepOf(kGroup), C = Strip::kWidth;
    constexpr int kStepBytes = StepBytes<Strip::kBits, kStep>();
    constexpr int kStrips = C < kVectors ? kVectors / C : 1;  // of a panel
    const int tiles = (last_row - first_row + R - 1) / R;     // of rows
    StripOutliers<V, D, Strip> outliers;
    for (int vector = first_panel * kVectors; vector < last_panel * kVectors; vector += C) {
      if constexpr (Strip::kOpened) Strip::template Open<kStep>(args, vector);
      int tile = vector % kVectors / C * tiles;  // of those that read the panel
      for (int row = first_row; row < last_row; row += R, ++tile) {
        if constexpr (CodesLayout::KeepsOutliers(Strip::kBits)) {
          if (row % kBlock == 0) outliers.Find(args, row, vector);
        }
        const int rows = last_row - row < R ? last_row - row : R;
        const Fetch fetch = FetchOf<Strip, kStepBytes>(args.input.layout, tile, tiles * kStrips);
        Dispatch<Strip, kGroup, R>(args, row, rows, vector, outliers, fetch);
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
    if (args.input.layout.IsWords()) {
      Panels<CodesLayout::kWordBits, GroupHeader::kNone, CodesLayout::kWholeRowGroup>(
          args, first_panel, last_panel, first_row, last_row);
    } else if (args.input.layout.bits == 8) {
      Run<8>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Run<4>(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
