// Attention's weighted values: vectors run across the values' columns.
#pragma once

#include "attention_work.h"
#include "fetching.h"

namespace octavo::cpu {

template <class V, class S>
struct AttentionSums {
  using T = typename S::T;
  using Input = typename S::Input;
  using Values = AttentionValues<S>;
  static constexpr int kRows = 6;
  // So many vectors of values are a line of the cache.
  static constexpr int kVectorBytes = V::kLanes * S::kColumns * sizeof(T);
  static constexpr int kLine = kVectorBytes < kCacheLine ? kCacheLine / kVectorBytes : 1;

  static constexpr int kWeightStride = AttentionWork::kWeightStride<S>;

  // The most vectors of columns that so many rows have registers for.
  static constexpr int VectorsBeside(int rows) { return rows * 4 <= V::kAccumulators ? 4 : 2; }

  // R queries × D vectors of value columns: sums += weights · values over tokens [first, last),
  // whole steps. Fetches: asks for what comes next, line by line.
  template <int R, int D, bool kFetches>
  OCTAVO_ALONE static void Tile(const AttentionWork& work, const Values& values, int query,
                                int column, int first, int last) {
    const int floats = StateFloats(work.cache->value_dim);
    float* to = work.states + static_cast<int64_t>(query) * floats + 2 + column;
    const Input* weights = work.WeightsOf<S>(query);
    V sums[R][D];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int d = 0; d < D; ++d) sums[r][d] =
          V::Load(to + r * floats + d * V::kLanes);
    }
    for (int t = first; t < last;) {
      const T* from = values.At(t) + column * S::kColumns;
      const int64_t next = kFetches && query == 0 ? values.next[t / kTokenTile] : 0;
      const int tile_end = (t / kTokenTile + 1) * kTokenTile;
      const int end = tile_end < last ? tile_end : last;
      for (; t < end; t += S::kColumns, from += values.stride) {
        if constexpr (kFetches) Fetch<D>(from, next);
        const auto weight = [=](int r) { return weights + t + r * kWeightStride; };
        const auto value = [=](int d) { return from + d * V::kLanes * S::kColumns; };
        AddStep<S>(weight, value, sums);
      }
    }
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int d = 0; d < D; ++d) sums[r][d].Store(to + r * floats + d * V::kLanes);
    }
  }

  // Asks for the lines that lie `next` bytes from those of a step; with 0, its own.
  template <int D>
  static OCTAVO_INLINE void Fetch(const T* from, int64_t next) {
    for (int d = 0; d < D; d += kLine)
      V::PrefetchFar(reinterpret_cast<const uint8_t*>(from) + d * kVectorBytes + next);
  }

  template <int R, int D>
  static void Tile(const AttentionWork& work, const Values& values, int query, int column,
                   int first, int last) {
    constexpr bool kAgain = AsksAgain<V>(R, kRows);
    (query == 0 ? Tile<R, D, true> : Tile<R, D, kAgain>)(work, values, query, column, first, last);
  }

  // As many rows, over all columns and tokens [first, last), whole steps.
  template <int R = kRows>
  static void Rows(int rows, const AttentionWork& work, const Values& values, int query, int first,
                   int last) {
    if (rows == R) {
      constexpr int kVectors = VectorsBeside(R), kWidth = kVectors * V::kLanes;
      const int columns = RoundUp(work.cache->value_dim, V::kLanes);
      int column = 0;
      for (; column + kWidth <= columns; column += kWidth)
        Tile<R, kVectors>(work, values, query, column, first, last);
      for (; column < columns; column += V::kLanes)
        Tile<R, 1>(work, values, query, column, first, last);
      return;
    }
    if constexpr (R > 1) Rows<R - 1>(rows, work, values, query, first, last);
  }

  // Queries [begin, end) × all columns, over tokens [first, last), whole steps.
  static void Whole(const AttentionWork& work, const Values& values, int begin, int end, int first,
                    int last) {
    for (int q = begin; q < end; q += kRows)
      Rows(end - q < kRows ? end - q : kRows, work, values, q, first, last);
  }

  // A step of which only tokens [first, last) are seen: the others count as zero, whatever they
  // are.
  static void Part(const AttentionWork& work, const Values& values, int begin, int end, int first,
                   int last) {
    const int step = first / S::kColumns * S::kColumns;
    const T* from = values.At(step);
    T* seen = static_cast<T*>(work.step);
    const int columns = RoundUp(work.cache->value_dim, V::kLanes);
    for (int token = 0; token < S::kColumns; ++token) {
      const bool sees = step + token >= first && step + token < last;
      for (int i = token; i < columns * S::kColumns; i += S::kColumns)
        seen[i] = sees ? from[i] : T{};
    }
    Values part = values;
    part.stride = 0;
    part.tiles[step / kTokenTile] = seen;
    part.next[step / kTokenTile] = 0;
    Whole(work, part, begin, end, step, step + S::kColumns);
  }

  // Queries [begin, end) over tokens [first, last), which all of them see.
  static void Queries(const AttentionWork& work, const Values& values, int begin, int end,
                      int first, int last) {
    if (first >= last) return;
    const int whole = RoundUp(first, S::kColumns), rest = last / S::kColumns * S::kColumns;
    if (first < whole) Part(work, values, begin, end, first, whole < last ? whole : last);
    if (whole < rest) Whole(work, values, begin, end, whole, rest);
    if (rest < last && rest >= whole) Part(work, values, begin, end, rest, last);
  }

  static void Row(const AttentionWork& work, const Values& values, int row, int first, int last) {
    Queries(work, values, row * work.group, (row + 1) * work.group, first, last);
  }

  // Rows [begin, end) over what they see before token `last`, which all of them see: first what one
  // half of the rows sees alone.
  static void Before(const AttentionWork& work, const Values& values, int begin, int end,
                     int last) {
    if (end - begin == 1) return Row(work, values, begin, work.FirstOf(begin), last);
    const int common = RoundUp(work.FirstOf(end - 1), S::kColumns);
    const int middle = (begin + end) / 2, seen = common < last ? common : last;
    Before(work, values, begin, middle, seen);
    Before(work, values, middle, end, seen);
    Queries(work, values, begin * work.group, end * work.group, seen, last);
  }

  // Rows [begin, end) over what they see from token `first` on: last what one half sees alone.
  static void After(const AttentionWork& work, const Values& values, int begin, int end,
                    int first) {
    const int tokens = work.TokensOf(begin);
    if (end - begin == 1) return Row(work, values, begin, first, tokens);
    const int common = tokens / S::kColumns * S::kColumns;
    const int middle = (begin + end) / 2, seen = common > first ? common : first;
    Queries(work, values, begin * work.group, end * work.group, first, seen);
    After(work, values, begin, middle, seen);
    After(work, values, middle, end, seen);
  }

  static void Run(const AttentionWork& work) {
    const Values values(work);
    const int rows = work.queries / work.group;
    const int common = RoundUp(work.FirstOf(rows - 1), S::kColumns);
    if (common <= work.TokensOf(0)) {
      Before(work, values, 0, rows, common);
      After(work, values, 0, rows, common);
      return;
    }
    for (int row = 0; row < rows; ++row)  // a window narrower than the tile
      Row(work, values, row, work.FirstOf(row), work.TokensOf(row));
  }
};

}  // namespace octavo::cpu
