// What the parts of attention share: the queries of one tile and kv head over one span, and where
// the keys and values of the span's tokens lie. S is the step of their products: one token's
// numbers alone, or pairs of them.
#pragma once

#include "../half.h"
#include "../kernels.h"
#include "compiler.h"
#include "products.h"

namespace octavo::cpu {

struct AttentionWork {
  const CacheLayer* cache;
  const int32_t* table;
  AttentionPlace next;
  int kv_head;
  int begin, tokens;  // of the span: its first token, and how many the last row may see
  int queries;        // rows × group: query q belongs to row q / group
  int group;
  int first_tokens;  // the first row sees the span's tokens before this; each row one more
  int window;        // so many tokens, at the most; 0: all
  float scale, softcap;
  const float* slopes;  // of the kv head's query heads, or null
  float* query;         // [queries, key_dim rounded up to a step], as the step's inputs
  // [queries, kSpan]: scores, and then weights in their place, as the step's inputs
  float* scores;
  // [kSpan] of an int8 cache: scores are multiplied by those of the keys, weights by the values'
  float *key_scales, *value_scales;
  void* step;      // room for one step of values
  void* gathered;  // and for what does not lie in the cache as it is wanted
  float* states;   // [queries, StateFloats]

  int TokensOf(int row) const {
    const int seen = first_tokens + row;
    return seen < 0 ? 0 : seen < tokens ? seen : tokens;
  }

  // The first token that a row sees; TokensOf(row) or more if it sees nothing of the span.
  int FirstOf(int row) const {
    const int first = first_tokens + row - window;
    return window == 0 || first < 0 ? 0 : first < tokens ? first : tokens;
  }

  static constexpr int kTiles = kSpan / kTokenTile;

  // Where the first token of each tile of the span lies.
  int32_t blocks[kTiles];
  int slots[kTiles];

  // Keys and values of the tiles that come next: blocks lie anywhere, so that no processor foresees
  // them. A line of the n-th tile is asked for with each of this span's n-th: a thread has few
  // misses under way at a time, and many at once would make its other loads wait.
  int next_tiles;
  const uint8_t *next_keys[kTiles], *next_values[kTiles];

  bool TilesInPlace() const { return cache->block_size % kTokenTile == 0; }

  // Finds the tiles, with no division for each: it would take as long as a tile's products.
  void FindTiles() {
    const int size = cache->block_size;
    int block = begin / size, slot = begin % size;
    for (int tile = 0; tile * kTokenTile < tokens; ++tile) {
      blocks[tile] = table[block];
      slots[tile] = slot;
      for (slot += kTokenTile; slot >= size; slot -= size) ++block;
    }
  }

  // They come to the second-level cache, which holds a span or two.
  template <class T>
  void FindNext() {
    next_tiles = 0;
    if (cache->block_size != kTokenTile) return;
    const int span_end = (next.first / kSpan + 1) * kSpan;
    const int end = next.last < span_end ? next.last : span_end;
    for (int tile = next.first / kTokenTile; tile * kTokenTile < end; ++tile, ++next_tiles) {
      const int32_t block = next.table[tile];
      const T* values = ValuesOf<T>(*cache, block, next.kv_head);
      const T* keys = cache->latent ? values : KeysOf<T>(*cache, block, next.kv_head);
      next_keys[next_tiles] = reinterpret_cast<const uint8_t*>(keys);
      next_values[next_tiles] = reinterpret_cast<const uint8_t*>(values);
    }
  }

  int FirstTile() const { return FirstOf(0) / kTokenTile; }

  int32_t BlockOf(int token) const { return table[(begin + token) / cache->block_size]; }
  int SlotOf(int token) const { return (begin + token) % cache->block_size; }

  template <class S>
  int QueryStride() const {
    return RoundUp(cache->key_dim, S::kColumns);
  }
  template <class S>
  typename S::Input* QueryOf(int q) const {
    return reinterpret_cast<typename S::Input*>(query) + q * QueryStride<S>();
  }

  template <class S>
  static constexpr int kWeightStride = kSpan * sizeof(float) / sizeof(typename S::Input);
  template <class S>
  typename S::Input* WeightsOf(int q) const {
    return reinterpret_cast<typename S::Input*>(scores + static_cast<int64_t>(q) * kSpan);
  }
};

// Keys of up to kTileGroup tiles: rows of a tile each, `stride` elements from a step of `dim`
// columns to the next.
template <class S>
struct AttentionKeys {
  using T = typename S::T;

  const T* tiles[kTileGroup];
  const uint8_t* next[kTileGroup];  // what is asked for meanwhile
  int count;
  int64_t stride;
  int dim;  // rounded up to whole steps

  explicit AttentionKeys(const AttentionWork& work)
      : dim(RoundUp(work.cache->key_dim, S::kColumns)) {
    stride = (InPlace(work) ? work.cache->block_size : kTokenTile) * S::kColumns;
  }

  static bool InPlace(const AttentionWork& work) {
    return !work.cache->latent && work.TilesInPlace() && work.cache->key_dim % S::kColumns == 0;
  }

  // The tiles from token `first` on.
  void Find(const AttentionWork& work, int first) {
    const int left = RoundUp(work.tokens - first, kTokenTile) / kTokenTile;
    count = left < kTileGroup ? left : kTileGroup;
    for (int i = 0; i < count; ++i, first += kTokenTile) {
      if (InPlace(work)) {
        const int tile = first / kTokenTile;
        tiles[i] = KeysOf<T>(*work.cache, work.blocks[tile], work.kv_head) +
                   work.slots[tile] * S::kColumns;
      } else {
        T* to = static_cast<T*>(work.gathered) + i * kTokenTile * dim;
        Gather(work, first, to);
        tiles[i] = to;
      }
      const int tile = first / kTokenTile - work.FirstTile();
      next[i] = tile < work.next_tiles ? work.next_keys[tile] : Bytes(tiles[i]);
    }
  }

  // Asks for nothing more.
  void Rest() {
    for (int i = 0; i < count; ++i) next[i] = Bytes(tiles[i]);
  }

 private:
  static const uint8_t* Bytes(const T* at) { return reinterpret_cast<const uint8_t*>(at); }

  // Copies the keys of a tile whose tokens do not lie side by side in one block.
  void Gather(const AttentionWork& work, int first, T* to) const {
    const CacheLayer& cache = *work.cache;
    const int columns = cache.key_dim;
    for (int i = 0; i < kTokenTile && first + i < work.tokens; ++i) {
      const int slot = work.SlotOf(first + i);
      const auto at = [&](int d) -> T& {
        return to[d / S::kColumns * stride + i * S::kColumns + d % S::kColumns];
      };
      if (cache.latent) {
        const T* row = ValuesOf<T>(cache, work.BlockOf(first + i), 0);
        for (int d = 0; d < columns; ++d) at(d) = row[static_cast<int64_t>(slot) * columns + d];
        continue;
      }
      const T* keys = KeysOf<T>(cache, work.BlockOf(first + i), work.kv_head);
      for (int d = 0; d < columns; ++d)
        at(d) = keys[IndexOf<T>(d, slot, columns, cache.block_size)];
      for (int d = columns; d < dim; ++d) at(d) = {};
    }
  }
};

// The values of a span by tiles of its tokens, `stride` elements from a step of tokens to the next.
template <class S>
struct AttentionValues {
  using T = typename S::T;

  const T* tiles[AttentionWork::kTiles];
  int64_t next[AttentionWork::kTiles];  // bytes from a tile to what is asked for meanwhile
  int64_t stride;

  // Tiles that do not lie in one block each are copied.
  explicit AttentionValues(const AttentionWork& work)
      : stride(int64_t{work.cache->ValueStride()} * S::kColumns) {
    const CacheLayer& cache = *work.cache;
    T* copied = static_cast<T*>(work.gathered);
    if (!work.TilesInPlace()) Gather(work, copied);
    const int first = work.FirstTile();
    for (int tile = first; tile * kTokenTile < work.tokens; ++tile) {
      const int slot = work.TilesInPlace() ? work.slots[tile] : tile * kTokenTile;
      const T* from =
          work.TilesInPlace() ? ValuesOf<T>(cache, work.blocks[tile], work.kv_head) : copied;
      tiles[tile] = from + slot / S::kColumns * stride;
      next[tile] =
          tile - first < work.next_tiles
              ? work.next_values[tile - first] - reinterpret_cast<const uint8_t*>(tiles[tile])
              : 0;
    }
  }

  // The step that begins with `token`.
  const T* At(int token) const {
    return tiles[token / kTokenTile] + token % kTokenTile / S::kColumns * stride;
  }

 private:
  void Gather(const AttentionWork& work, T* to) const {
    const CacheLayer& cache = *work.cache;
    const bool paired = S::kColumns > 1;
    for (int t = work.FirstOf(0); t < work.tokens; ++t) {
      const T* values = ValuesOf<T>(cache, work.BlockOf(t), work.kv_head);
      const int slot = work.SlotOf(t);
      T* step = to + t / S::kColumns * stride + t % S::kColumns;
      for (int c = 0; c < cache.value_dim; ++c)
        step[c * S::kColumns] =
            values[paired ? IndexOf<T>(slot, c, cache.block_size, cache.value_dim)
                          : static_cast<int64_t>(slot) * stride + c];
    }
  }
};

}  // namespace octavo::cpu
