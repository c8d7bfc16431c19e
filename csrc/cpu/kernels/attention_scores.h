// Attention's scores, a group of tiles of tokens at a time: vectors run across tokens.
#pragma once

#include "attention_work.h"
#include "fetching.h"
#include "vector_math.h"

namespace octavo::cpu {

template <class V, class S>
struct AttentionScores {
  using T = typename S::T;
  using Input = typename S::Input;
  using Keys = AttentionKeys<S>;
  static constexpr int kVectors = kTokenTile / V::kLanes;
  static constexpr int kMostRows = 12;
  static constexpr int kRows =
      V::kAccumulators / kVectors < kMostRows ? V::kAccumulators / kVectors : kMostRows;

  // R queries × N tiles of tokens, enough sums at a time that none waits for its last addition.
  // Fetches: asks for what comes next, line by line.
  template <int R, int N, bool kFetches>
  OCTAVO_ALONE static void Tiles(const Input* query, const Keys& keys, int tile, V scale,
                                 float* scores) {
    V sums[R][N * kVectors];
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int v = 0; v < N * kVectors; ++v) sums[r][v] = V::Set(0);
    }
    const InputRows<V, Input, R> inputs(query, keys.dim);
    const T* rows[N];
    for (int n = 0; n < N; ++n) rows[n] = keys.tiles[tile + n];
    for (int d = 0; d < keys.dim; d += S::kColumns) {
      const int at = d * static_cast<int>(sizeof(T)) * kTokenTile;
      if (kFetches && at % kCacheLine == 0) {
        for (int n = 0; n < N; ++n) V::PrefetchFar(keys.next[tile + n] + at);
      }
      const auto input = [&](int r) { return inputs.At(r, d); };
      const auto key = [&rows](int v) {
        return rows[v / kVectors] + v % kVectors * V::kLanes * S::kColumns;
      };
      AddStep<S>(input, key, sums);
      OCTAVO_UNROLL for (int n = 0; n < N; ++n) rows[n] += keys.stride;
    }
    OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
      OCTAVO_UNROLL for (int v = 0; v < N * kVectors; ++v) {
        float* to = scores + r * kSpan + tile * kTokenTile + v * V::kLanes;
        (sums[r][v] * scale).Store(to);
      }
    }
  }

  // The tiles from `tile` on, N at a time.
  template <int R, int N, bool kFetches>
  static void Group(const Input* query, const Keys& keys, int tile, V scale, float* scores) {
    for (; tile + N <= keys.count; tile += N)
      Tiles<R, N, kFetches>(query, keys, tile, scale, scores);
    if constexpr (N > 1) Group<R, N / 2, kFetches>(query, keys, tile, scale, scores);
  }

  template <bool kFetches, int R = kRows>
  static void Rows(int rows, const Input* query, const Keys& keys, V scale, float* scores) {
    constexpr int kSums = V::kAccumulators / kVectors / R;
    constexpr int kTiles = kSums >= 4 ? 4 : kSums >= 2 ? 2 : 1;
    static_assert(kTiles <= kTileGroup, "a group holds what is looked at together");
    constexpr bool kAsks = kFetches || AsksAgain<V>(R, kRows);
    if (rows == R) return Group<R, kTiles, kAsks>(query, keys, 0, scale, scores);
    if constexpr (R > 1) Rows<kFetches, R - 1>(rows, query, keys, scale, scores);
  }

  // Asks for tiles that come next in places that this span has not.
  static void FetchRest(const AttentionWork& work) {
    const CacheLayer& cache = *work.cache;
    const size_t column = sizeof(T) * kTokenTile;
    const int own = RoundUp(work.tokens, kTokenTile) / kTokenTile - work.FirstTile();
    for (int i = own < 0 ? 0 : own; i < work.next_tiles; ++i) {
      Lines(work.next_keys[i], column * cache.key_dim);
      if (!cache.latent) Lines(work.next_values[i], column * cache.value_dim);
    }
  }

  static OCTAVO_INLINE void Lines(const uint8_t* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += kCacheLine) V::PrefetchFar(from + at);
  }

  static void Run(const AttentionWork& work) {
    Keys keys(work);
    const int begin = work.FirstTile() * kTokenTile;
    for (int first = begin; first < work.tokens; first += kTileGroup * kTokenTile) {
      keys.Find(work, first);
      for (int q = 0; q < work.queries; q += kRows) {
        const int rows = work.queries - q < kRows ? work.queries - q : kRows;
        (q == 0 ? Rows<true> : Rows<false>)(rows, work.QueryOf<S>(q), keys, V::Set(work.scale),
                                            work.scores + q * kSpan + first);
        keys.Rest();
      }
    }
    FetchRest(work);
  }
};

}  // namespace octavo::cpu
