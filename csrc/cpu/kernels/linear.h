// out = input · weightᵀ + bias. Every output is one chain of multiply-adds over k, ascending,
// whatever the rows beside it: vectors run across output columns, and tiles only choose which
// chains interleave.
#pragma once

#include "../half.h"
#include "../kernels.h"
#include "compiler.h"

namespace octavo::cpu {

// Columns of a panel come in groups of two vectors: `kLanes` columns of each half.
template <class V>
struct Linear {
  static constexpr int kHalf = kPanel / 2;
  static constexpr int kGroups = kHalf / V::kLanes;
  static constexpr int kMaxRows = V::kAccumulators / 2;

  // How far a column group lies from the start of a packed row. The two halves of a bfloat16 row
  // are interleaved, so that a 32-bit word holds a column of each.
  template <class T>
  static int GroupOffset(const T*, int group) {
    return group * V::kLanes;
  }
  static int GroupOffset(const BFloat16*, int group) { return 2 * group * V::kLanes; }

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

  // Weights come from memory when rows are few; the processor alone does not look far enough ahead.
  template <class T>
  static OCTAVO_INLINE void PrefetchAhead(const T* weight) {
    constexpr size_t kDistance = 2048, kLine = 64;
    const char* ahead = reinterpret_cast<const char*>(weight) + kDistance;
    V::Prefetch(ahead);
    if constexpr (sizeof(T) * kPanel > kLine) V::Prefetch(ahead + kLine);
  }

  // R rows × C column groups, all sums in registers.
  template <class T, int R, int C>
  static void Tile(const LinearArgs& args, int row, int group) {
    const int k = args.k;
    const T* weights[C];
    for (int c = 0; c < C; ++c) {
      weights[c] = static_cast<const T*>(args.weight) +
                   static_cast<int64_t>((group + c) / kGroups) * k * kPanel;
      weights[c] += GroupOffset(weights[c], (group + c) % kGroups);
    }
    const float* inputs[R];
    for (int r = 0; r < R; ++r) inputs[r] = args.input + static_cast<int64_t>(row + r) * k;

    V sums[R][C][2];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c][0] = sums[r][c][1] = V::Set(0);
    }
    for (int i = 0; i < k; ++i) {
      V low[C], high[C];
      for (int c = 0; c < C; ++c) {
        const T* weight = weights[c] + int64_t{i} * kPanel;
        PrefetchAhead(weight);
        V::LoadPanel(weight, &low[c], &high[c]);
      }
      for (int r = 0; r < R; ++r) {
        const V x = V::Set(inputs[r][i]);
        for (int c = 0; c < C; ++c) {
          sums[r][c][0] = V::Fma(x, low[c], sums[r][c][0]);
          sums[r][c][1] = V::Fma(x, high[c], sums[r][c][1]);
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      float* out = args.out + static_cast<int64_t>(row + r) * args.n;
      for (int c = 0; c < C; ++c) {
        const int column = Column(group + c);
        if (column < args.n) StoreColumns(sums[r][c][0], args, column, out);
        if (column + kHalf < args.n) StoreColumns(sums[r][c][1], args, column + kHalf, out);
      }
    }
  }

  // Calls the tile of that many rows and column groups.
  template <class T, int R, int C>
  static void Dispatch(const LinearArgs& args, int row, int rows, int group, int groups) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<T, R - 1, C>(args, row, rows, group, groups);
    } else if (groups < C) {
      if constexpr (C > 1) Dispatch<T, R, C / 2>(args, row, rows, group, groups);
    } else if constexpr (R * C * 2 <= V::kAccumulators) {
      Tile<T, R, C>(args, row, group);
    }
  }

  // The most column groups (4, 2 or 1) that a tile of so many rows has registers for.
  static int GroupsBeside(int rows) {
    int groups = 4;
    while (groups > 1 && rows * groups * 2 > V::kAccumulators) groups /= 2;
    return groups;
  }

  template <class T>
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
        Dispatch<T, kMaxRows, 4>(args, first_row + begin, end - begin, group, groups);
      }
    }
  }

  static void Run(const LinearArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    switch (args.type) {
      case Type::kFloat32: return Panels<float>(args, first_panel, last_panel, first_row, last_row);
      case Type::kBFloat16:
        return Panels<BFloat16>(args, first_panel, last_panel, first_row, last_row);
      case Type::kFloat16:
        return Panels<Float16>(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
