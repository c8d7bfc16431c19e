// Attention's scores, a group of tiles of tokens at a time: vectors run across tokens.
#pragma once

#include "attention_work.h"
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

  // Adds the products of one step of columns.
  template <int R, int N>
  static OCTAVO_INLINE void Add(const Input* query, int dim, const T* const (&rows)[N],
                                V (&sums)[R][N][kVectors]) {
    for (int p = 0; p < S::kParts; ++p) {
      const int part = S::kFirst + p * S::kNext;
      decltype(S::Weights(rows[0], 0)) key[N][kVectors];
      OCTAVO_UNROLL for (int n = 0; n < N; ++n) {
        for (int v = 0; v < kVectors; ++v)
          key[n][v] = S::Weights(rows[n] + v * V::kLanes * S::kColumns, part);
      }
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const auto x = S::Inputs(query + r * dim, part);
        OCTAVO_UNROLL for (int n = 0; n < N; ++n) {
          for (int v = 0; v < kVectors; ++v) sums[r][n][v] = S::Add(x, key[n][v], sums[r][n][v]);
        }
      }
    }
  }

  // R queries × N tiles of tokens, enough sums at a time that none waits for its last addition.
  template <int R, int N>
  OCTAVO_ALONE static void Tiles(const Input* query, const Keys& keys, int tile, V scale,
                                 float* scores) {
    V sums[R][N][kVectors];
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < N; ++n) {
        for (int v = 0; v < kVectors; ++v) sums[r][n][v] = V::Set(0);
      }
    }
    const T* rows[N];
    for (int n = 0; n < N; ++n) rows[n] = keys.tiles[tile + n];
    for (int d = 0; d < keys.dim; d += S::kColumns) {
      const int at = d * static_cast<int>(sizeof(T)) * kTokenTile;
      if (at % kCacheLine == 0) {
        for (int n = 0; n < N; ++n) V::PrefetchFar(keys.next[tile + n] + at);
      }
      Add<R, N>(query + d, keys.dim, rows, sums);
      for (int n = 0; n < N; ++n) rows[n] += keys.stride;
    }
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < N; ++n) {
        float* to = scores + r * kSpan + (tile + n) * kTokenTile;
        for (int v = 0; v < kVectors; ++v) (sums[r][n][v] * scale).Store(to + v * V::kLanes);
      }
    }
  }

  // The tiles from `tile` on, N at a time.
  template <int R, int N>
  static void Group(const Input* query, const Keys& keys, int tile, V scale, float* scores) {
    for (; tile + N <= keys.count; tile += N) Tiles<R, N>(query, keys, tile, scale, scores);
    if constexpr (N > 1) Group<R, N / 2>(query, keys, tile, scale, scores);
  }

  template <int R = kRows>
  static void Rows(int rows, const Input* query, const Keys& keys, V scale, float* scores) {
    constexpr int kSums = V::kAccumulators / kVectors / R;
    constexpr int kTiles = kSums >= 4 ? 4 : kSums >= 2 ? 2 : 1;
    static_assert(kTiles <= kTileGroup, "a group holds what is looked at together");
    if (rows == R) return Group<R, kTiles>(query, keys, 0, scale, scores);
    if constexpr (R > 1) Rows<R - 1>(rows, query, keys, scale, scores);
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
        Rows(rows, work.QueryOf<S>(q), keys, V::Set(work.scale), work.scores + q * kSpan + first);
        keys.Rest();
      }
    }
    FetchRest(work);
  }
};

}  // namespace octavo::cpu
