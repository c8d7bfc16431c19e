// out = input · weightᵀ + bias. Every output is one chain of multiply-adds over k, whatever the
// rows beside it: vectors run across output columns, and tiles only choose which chains interleave.
#pragma once

#include "../half.h"
#include "../kernels.h"
#include "compiler.h"
#include "fetching.h"
#include "products.h"
#include "vector_math.h"

namespace octavo::cpu {

// Columns of a panel come in groups of two vectors: `kLanes` columns of each half. Rounded: the
// step of rounded inputs.
template <class V, class Rounded = RoundedColumns<V>>
struct Linear {
  static constexpr int kHalf = kPanel / 2;
  static constexpr int kGroups = kHalf / V::kLanes;
  static constexpr int kMaxRows = V::kAccumulators / 2;

  static int Column(int group) { return group / kGroups * kPanel + group % kGroups * V::kLanes; }

  // Writes the first columns of a vector that begins at `column`, those below n.
  static void StoreColumns(V sum, const LinearArgs& args, int column, float* row) {
    if (args.bias != nullptr) sum = sum + V::Load(args.bias + column);
    if (column + V::kLanes <= args.n) {
      sum.Store(row + column);
      return;
    }
    float lanes[V::kLanes];
    sum.Store(lanes);
    for (int i = 0; column + i < args.n; ++i) row[column + i] = lanes[i];
  }

  // What a tile asks memory for: what comes next in its panel, or so many lines of each kUnrolled
  // columns of the next panel, as its share where many tiles read a panel one after the other. A
  // tile that asked for all of it would wait for memory.
  struct Fetch {
    bool ahead = false;
    const char* next = nullptr;
    int lines = 0;
  };
  static constexpr int kUnrolled = 8;
  static constexpr int kTilesToShare = 4;

  // Whether tiles of R rows × C column groups share, and are unrolled: measured where it gains.
  template <class S, int R, int C>
  static constexpr bool kShares = S::kColumns <= V::kSharedColumns && C == 1 && R > kMaxRows / 2;

  template <class S>
  static constexpr int64_t kColumnBytes = kPanel * sizeof(typename S::T);  // of a panel

  // For one of so many tiles of rows, all that read a column group.
  template <class S>
  static Fetch FetchOf(const LinearArgs& args, int group, int tile, int tiles) {
    if (!kShares<S, kMaxRows, 1> || tiles < kTilesToShare) return {tile == 0};
    constexpr int kLines = kUnrolled * kColumnBytes<S> / kCacheLine;
    const Lines share = ShareOf(kLines, group % kGroups * tiles + tile, tiles * kGroups);
    const char* next = static_cast<const char*>(args.weight) +
                       (group / kGroups + 1) * RoundUp(args.k, S::kColumns) * kColumnBytes<S>;
    return {false, next + share.first * kCacheLine, share.count};
  }

  // Weights come from memory when rows are few; the processor alone does not look far enough ahead.
  template <class S>
  static OCTAVO_INLINE void PrefetchAhead(const typename S::T* weight) {
    constexpr size_t kDistance = 2048;
    const char* ahead = reinterpret_cast<const char*>(weight) + kDistance;
    V::Prefetch(ahead);
    if constexpr (S::kColumns * kColumnBytes<S> > kCacheLine) V::Prefetch(ahead + kCacheLine);
  }

  // Adds the products of a step from `column` on; of a row's last column, if left over, one part.
  template <class S, int kParts, bool kAhead, int R, int C>
  static OCTAVO_INLINE void Add(const InputRows<V, typename S::Input, R>& inputs,
                                const typename S::T* const (&weights)[C], int column,
                                V (&sums)[R][2 * C]) {
    const int64_t step = int64_t{column} * kPanel;
    if constexpr (kAhead) {
      for (int c = 0; c < C; ++c) PrefetchAhead<S>(weights[c] + step);
    }
    AddStep<S, kParts>([&](int r) { return inputs.At(r, column); },
                       [&](int c) { return weights[c / 2] + step + c % 2 * kHalf * S::kColumns; },
                       sums);
  }

  // R rows × C column groups, all sums in registers.
  template <class S, int R, int C, bool kAhead>
  static void Tile(const LinearArgs& args, int row, int group, Fetch fetch) {
    const int k = args.k, padded = RoundUp(k, S::kColumns);
    const typename S::T* weights[C];
    for (int c = 0; c < C; ++c) {
      weights[c] = static_cast<const typename S::T*>(args.weight) +
                   static_cast<int64_t>((group + c) / kGroups) * padded * kPanel +
                   (group + c) % kGroups * V::kLanes * S::kColumns;
    }
    const int64_t stride = args.InputStride();
    const InputRows<V, typename S::Input, R> inputs(
        static_cast<const typename S::Input*>(args.input) + row * stride, stride);

    V sums[R][2 * C];  // of a group's two halves
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int c = 0; c < 2 * C; ++c) sums[r][c] = V::Set(0);
    }
    int i = 0;
    if constexpr (!kAhead && kShares<S, R, C>) {
      while (i + kUnrolled <= k) {
        for (int l = 0; l < fetch.lines; ++l)
          V::PrefetchFar(fetch.next + i * kColumnBytes<S> + l * kCacheLine);
        OCTAVO_UNROLL for (int u = 0; u < kUnrolled; u += S::kColumns, i += S::kColumns)
            Add<S, S::kParts, false>(inputs, weights, i, sums);
      }
    }
    for (; i + S::kColumns <= k; i += S::kColumns)
      Add<S, S::kParts, kAhead>(inputs, weights, i, sums);
    if (i < k) Add<S, 1, kAhead>(inputs, weights, i, sums);
    for (int r = 0; r < R; ++r) {
      float* out = args.out + static_cast<int64_t>(row + r) * args.n;
      for (int c = 0; c < 2 * C; ++c) {
        const int column = Column(group + c / 2) + c % 2 * kHalf;
        if (column < args.n) StoreColumns(sums[r][c], args, column, out);
      }
    }
  }

  // Calls the tile of that many rows and column groups.
  template <class S, int R, int C>
  static void Dispatch(const LinearArgs& args, int row, int rows, int group, int groups,
                       const Fetch& fetch) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<S, R - 1, C>(args, row, rows, group, groups, fetch);
    } else if (groups < C) {
      if constexpr (C > 1) Dispatch<S, R, C / 2>(args, row, rows, group, groups, fetch);
    } else if constexpr (R * C * 2 <= V::kAccumulators) {
      constexpr bool kAgain = !kShares<S, R, C> && AsksAgain<V>(R, kMaxRows);
      (fetch.ahead ? Tile<S, R, C, true> : Tile<S, R, C, kAgain>)(args, row, group, fetch);
    }
  }

  // The most column groups (4, 2 or 1) that a tile of so many rows has registers for.
  static int GroupsBeside(int rows) {
    int groups = 4;
    while (groups > 1 && rows * groups * 2 > V::kAccumulators) groups /= 2;
    return groups;
  }

  template <class S>
  static void Panels(const LinearArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    const int rows = last_row - first_row;
    const int tiles = (rows + kMaxRows - 1) / kMaxRows;
    const int widest = GroupsBeside((rows + tiles - 1) / tiles);
    const int last_group = last_panel * kGroups;
    int groups = widest;
    for (int group = first_panel * kGroups; group < last_group; group += groups) {
      while (groups > last_group - group) groups /= 2;
      for (int tile = 0; tile < tiles; ++tile) {
        const int begin = rows * tile / tiles;
        const int end = rows * (tile + 1) / tiles;
        Dispatch<S, kMaxRows, 4>(args, first_row + begin, end - begin, group, groups,
                                 FetchOf<S>(args, group, tile, tiles));
      }
    }
  }

  static void Run(const LinearArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    const auto panels = [&](auto step) {
      Panels<decltype(step)>(args, first_panel, last_panel, first_row, last_row);
    };
    switch (args.type) {
      case Type::kFloat32: return panels(OneColumn<V, float>());
      case Type::kFloat16: return panels(OneColumn<V, Float16>());
      case Type::kBFloat16: return args.rounded ? panels(Rounded()) : panels(TwoColumns<V>());
    }
  }

  // Rows [first_row, last_row) of float32 inputs, rounded to bfloat16 as `Rounded` reads them.
  static void RoundRows(const float* input, int k, void* to, int first_row, int last_row) {
    const int stride = RoundUp(k, LinearArgs::kPair);
    for (int64_t row = first_row; row < last_row; ++row) {
      const float* from = input + row * k;
      auto* rounded = static_cast<typename Rounded::Input*>(to) + row * stride;
      for (int i = 0; i < stride; i += V::kLanes) {
        const V x = Math<V>::LoadFirst(from + i, k - i, 0);
        typename Rounded::Input kept[V::kLanes];
        Rounded::Keep(x, kept);
        const int count = stride - i < V::kLanes ? stride - i : V::kLanes;
        std::memcpy(rounded + i, kept, count * sizeof(*kept));
      }
    }
  }
};

}  // namespace octavo::cpu
