// softmax(q·kᵀ·scale)·v over the cache, with softcap, window and slopes where the op has them, one
// span of kSpan tokens at a time. What a query gets depends on its own tokens only: a score is one
// chain over d, the sum of a span has kTokenTile fixed lanes, a weighted value is one chain over
// the span's tokens, and spans are combined in order.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

template <class V>
struct Attention {
  static constexpr int kParts = kTokenTile / V::kLanes;
  static constexpr int kScoreRows = V::kAccumulators / 2 / kParts;
  static constexpr int kValueVectors = 4;
  static constexpr int kValueRows = V::kAccumulators / kValueVectors;

  // The queries of one tile and kv head over one span: what the functions below share.
  struct Work {
    const CacheLayer* cache;
    const int32_t* table;
    int kv_head;
    int begin, tokens;  // of the span: its first token, and how many the last row may see
    int queries;        // rows × group: query q belongs to row q / group
    int group;
    int first_tokens;  // the first row sees the span's tokens before this; each row one more
    int window;        // so many tokens, at the most; 0: all
    float scale, softcap;
    const float* slopes;  // of the kv head's query heads, or null
    float* query;         // [queries, key_dim]
    float* scores;        // [queries, kSpan]
    // [kSpan] of an int8 cache: scores are multiplied by those of the keys, weights by the values'
    float *key_scales, *value_scales;
    float* states;  // [queries, StateFloats]

    int TokensOf(int row) const {
      const int seen = first_tokens + row;
      return seen < 0 ? 0 : seen < tokens ? seen : tokens;
    }

    // The first token that a row sees; TokensOf(row) or more if it sees nothing of the span.
    int FirstOf(int row) const {
      const int first = first_tokens + row - window;
      return window == 0 || first < 0 ? 0 : first < tokens ? first : tokens;
    }
  };

  // Keys of up to kTileGroup tiles, [dim] rows of a tile each, `stride` elements apart.
  template <class T>
  struct Keys {
    const T* tiles[kTileGroup];
    int count;
    int64_t stride;
    int dim;
  };

  // R queries × N tiles of tokens, enough sums at a time that none waits for its last addition.
  template <class T, int R, int N>
  static void ScoreTiles(const float* query, const Keys<T>& keys, int tile, V scale,
                         float* scores) {
    V sums[R][N][kParts];
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < N; ++n) {
        for (int part = 0; part < kParts; ++part) sums[r][n][part] = V::Set(0);
      }
    }
    for (int d = 0; d < keys.dim; ++d) {
      V key[N][kParts];
      for (int n = 0; n < N; ++n) {
        const T* row = keys.tiles[tile + n] + d * keys.stride;
        for (int part = 0; part < kParts; ++part) key[n][part] = V::Load(row + part * V::kLanes);
      }
      for (int r = 0; r < R; ++r) {
        const V q = V::Set(query[r * keys.dim + d]);
        for (int n = 0; n < N; ++n) {
          for (int part = 0; part < kParts; ++part)
            sums[r][n][part] = V::Fma(q, key[n][part], sums[r][n][part]);
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int n = 0; n < N; ++n) {
        float* to = scores + r * kSpan + (tile + n) * kTokenTile;
        for (int part = 0; part < kParts; ++part)
          (sums[r][n][part] * scale).Store(to + part * V::kLanes);
      }
    }
  }

  // The tiles from `tile` on, N at a time.
  template <class T, int R, int N>
  static void ScoreGroup(const float* query, const Keys<T>& keys, int tile, V scale,
                         float* scores) {
    for (; tile + N <= keys.count; tile += N) ScoreTiles<T, R, N>(query, keys, tile, scale, scores);
    if constexpr (N > 1) ScoreGroup<T, R, N / 2>(query, keys, tile, scale, scores);
  }

  template <class T, int R = kScoreRows>
  static void ScoreRows(int rows, const float* query, const Keys<T>& keys, V scale, float* scores) {
    constexpr int kTiles = R * 4 <= kScoreRows ? 4 : R * 2 <= kScoreRows ? 2 : 1;
    static_assert(kTiles <= kTileGroup, "a group holds what is looked at together");
    if (rows == R) return ScoreGroup<T, R, kTiles>(query, keys, 0, scale, scores);
    if constexpr (R > 1) ScoreRows<T, R - 1>(rows, query, keys, scale, scores);
  }

  // Copies the keys of a tile whose tokens do not lie side by side in one block.
  template <class T>
  static void GatherKeys(const Work& work, int first, int count, T* to) {
    const CacheLayer& cache = *work.cache;
    for (int i = 0; i < count; ++i) {
      const int position = work.begin + first + i;
      if (cache.latent) {
        const T* row = ValuesOf<T>(cache, work.table[position / cache.block_size], 0) +
                       static_cast<int64_t>(position % cache.block_size) * cache.key_dim;
        for (int d = 0; d < cache.key_dim; ++d) to[d * kTokenTile + i] = row[d];
        continue;
      }
      const T* keys = KeysOf<T>(cache, work.table[position / cache.block_size], work.kv_head) +
                      position % cache.block_size;
      for (int d = 0; d < cache.key_dim; ++d) {
        to[d * kTokenTile + i] = keys[static_cast<int64_t>(d) * cache.block_size];
      }
    }
  }

  // The keys of a tile where they lie, or copied to `gathered`.
  template <class T>
  static const T* KeysOfTile(const Work& work, int first, bool side_by_side, T* gathered) {
    const CacheLayer& cache = *work.cache;
    if (side_by_side) {
      const int position = work.begin + first;
      return KeysOf<T>(cache, work.table[position / cache.block_size], work.kv_head) +
             position % cache.block_size;
    }
    const int left = work.tokens - first;
    GatherKeys(work, first, left < kTokenTile ? left : kTokenTile, gathered);
    return gathered;
  }

  static OCTAVO_INLINE void Fetch(const void* from, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) V::Prefetch(static_cast<const uint8_t*>(from) + at);
  }

  // Asks for the values of a tile, which are read after the scores, and for the keys of the tile
  // that is looked at next: blocks lie anywhere, so that no processor foresees them.
  template <class T>
  static OCTAVO_INLINE void FetchTile(const Work& work, int first) {
    const CacheLayer& cache = *work.cache;
    const int position = work.begin + first, slot = position % cache.block_size;
    const T* values = ValuesOf<T>(cache, work.table[position / cache.block_size], work.kv_head);
    const auto row = static_cast<size_t>(cache.value_dim);
    Fetch(values + row * slot, kTokenTile * row * sizeof(T));
    const int next = first + kTileGroup * kTokenTile;
    if (next >= work.tokens || cache.block_size != kTokenTile) return;
    const int32_t block = work.table[(work.begin + next) / kTokenTile];
    Fetch(KeysOf<T>(cache, block, work.kv_head), sizeof(T) * kTokenTile * cache.key_dim);
  }

  template <class T>
  static void Scores(const Work& work, T* gathered) {
    const CacheLayer& cache = *work.cache;
    const bool side_by_side = !cache.latent && cache.block_size % kTokenTile == 0;
    Keys<T> keys;
    keys.stride = side_by_side ? cache.block_size : kTokenTile;
    keys.dim = cache.key_dim;
    const int begin = work.FirstOf(0) / kTokenTile * kTokenTile;
    for (int first = begin; first < work.tokens; first += kTileGroup * kTokenTile) {
      const int left = RoundUp(work.tokens - first, kTokenTile) / kTokenTile;
      keys.count = left < kTileGroup ? left : kTileGroup;
      for (int i = 0; i < keys.count; ++i)
        keys.tiles[i] = KeysOfTile(work, first + i * kTokenTile, side_by_side,
                                   gathered + i * kTokenTile * cache.key_dim);
      for (int i = 0; side_by_side && i < keys.count; ++i)
        FetchTile<T>(work, first + i * kTokenTile);
      for (int q = 0; q < work.queries; q += kScoreRows) {
        const int rows = work.queries - q < kScoreRows ? work.queries - q : kScoreRows;
        ScoreRows<T>(rows, work.query + q * cache.key_dim, keys, V::Set(work.scale),
                     work.scores + q * kSpan + first);
      }
    }
  }

  template <class T>
  static constexpr bool kScaled = std::is_same_v<T, Int8>;

  // The scales of the tokens that the span's rows see.
  static void GatherScales(const Work& work, bool values, float* to) {
    const int size = work.cache->block_size;
    for (int t = work.FirstOf(0); t < work.tokens;) {
      const int slot = (work.begin + t) % size;
      const int32_t block = work.table[(work.begin + t) / size];
      const int count = size - slot < work.tokens - t ? size - slot : work.tokens - t;
      const uint8_t* from = ScalesOf(*work.cache, block, work.kv_head, values);
      std::memcpy(to + t, from + slot * sizeof(float), count * sizeof(float));
      t += count;
    }
  }

  // Multiplies the scores or weights of one query; those outside [first, tokens) become anything.
  static void Multiply(const float* scales, int first, int tokens, float* numbers) {
    for (int t = first / kTokenTile * kTokenTile; t < tokens; t += V::kLanes)
      (V::Load(numbers + t) * V::Load(scales + t)).Store(numbers + t);
  }

  // Caps the scores of one query and adds its slope times their tokens' distance to it.
  static void Bend(const Work& work, int q, int first, int tokens, float* scores) {
    if (work.softcap > 0) {
      const V cap = V::Set(work.softcap);
      for (int t = first / kTokenTile * kTokenTile; t < tokens; t += V::kLanes)
        (cap * Math<V>::Tanh(V::Load(scores + t) / cap)).Store(scores + t);
    }
    if (work.slopes == nullptr) return;
    const float slope = work.slopes[q % work.group];
    const int own = work.first_tokens + q / work.group - 1;  // counted from the span's start
    for (int t = first; t < tokens; ++t) scores[t] += slope * static_cast<float>(t - own);
  }

  // Turns the scores of tokens [first, tokens) of one query into weights; gives their maximum and
  // sum.
  static void Softmax(float* scores, int first, int tokens, float* maximum, float* sum) {
    const int begin = first / kTokenTile * kTokenTile, padded = RoundUp(tokens, kTokenTile);
    for (int t = begin; t < first; ++t) scores[t] = -HUGE_VALF;
    for (int t = tokens; t < padded; ++t) scores[t] = -HUGE_VALF;
    V largest = V::Load(scores + begin);
    for (int t = begin + V::kLanes; t < padded; t += V::kLanes)
      largest = V::Max(largest, V::Load(scores + t));
    float lanes[kTokenTile];
    largest.Store(lanes);
    float m = lanes[0];
    for (int i = 1; i < V::kLanes; ++i) m = lanes[i] > m ? lanes[i] : m;

    V sums[kParts];
    for (V& part : sums) part = V::Set(0);
    for (int t = begin; t < padded; t += kTokenTile) {
      for (int part = 0; part < kParts; ++part) {
        float* at = scores + t + part * V::kLanes;
        const V weight = Math<V>::Exp(V::Load(at) - V::Set(m));
        weight.Store(at);
        sums[part] = sums[part] + weight;
      }
    }
    for (int part = 0; part < kParts; ++part) sums[part].Store(lanes + part * V::kLanes);
    *maximum = m;
    *sum = Math<V>::Tree(lanes);
  }

  // R queries × D vectors of value columns: sums += weights · values over tokens [first, last).
  template <class T, int R, int D>
  static void ValueTile(const Work& work, int query, int column, int first, int last) {
    const CacheLayer& cache = *work.cache;
    const int floats = StateFloats(cache.value_dim);
    float* to = work.states + static_cast<int64_t>(query) * floats + 2 + column;
    const float* weights = work.scores + static_cast<int64_t>(query) * kSpan;
    V sums[R][D];
    for (int r = 0; r < R; ++r) {
      for (int d = 0; d < D; ++d) sums[r][d] = V::Load(to + r * floats + d * V::kLanes);
    }
    for (int t = first; t < last;) {
      const int slot = (work.begin + t) % cache.block_size;
      const int32_t block = work.table[(work.begin + t) / cache.block_size];
      const T* values = ValuesOf<T>(cache, block, work.kv_head) +
                        static_cast<int64_t>(slot) * cache.ValueStride() + column;
      const int end = last - t < cache.block_size - slot ? last : t + cache.block_size - slot;
      for (; t < end; ++t, values += cache.ValueStride()) {
        V value[D];
        for (int d = 0; d < D; ++d) value[d] = V::Load(values + d * V::kLanes);
        for (int r = 0; r < R; ++r) {
          const V weight = V::Set(weights[r * kSpan + t]);
          for (int d = 0; d < D; ++d) sums[r][d] = V::Fma(weight, value[d], sums[r][d]);
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int d = 0; d < D; ++d) sums[r][d].Store(to + r * floats + d * V::kLanes);
    }
  }

  template <class T, int D, int R = kValueRows>
  static void ValueRows(int rows, const Work& work, int query, int column, int first, int last) {
    if (rows == R) return ValueTile<T, R, D>(work, query, column, first, last);
    if constexpr (R > 1) ValueRows<T, D, R - 1>(rows, work, query, column, first, last);
  }

  // Queries [begin, end) × all columns, over tokens [first, last).
  template <class T>
  static void Values(const Work& work, int begin, int end, int first, int last) {
    if (first >= last) return;
    const int width = kValueVectors * V::kLanes;
    const int columns = RoundUp(work.cache->value_dim, V::kLanes);
    for (int q = begin; q < end; q += kValueRows) {
      const int rows = end - q < kValueRows ? end - q : kValueRows;
      int column = 0;
      for (; column + width <= columns; column += width) {
        ValueRows<T, kValueVectors>(rows, work, q, column, first, last);
      }
      for (; column < columns; column += V::kLanes) {
        ValueRows<T, 1>(rows, work, q, column, first, last);
      }
    }
  }

  template <class T>
  static void Span(const Work& work, T* gathered) {
    const int floats = StateFloats(work.cache->value_dim);
    if constexpr (kScaled<T>) {
      GatherScales(work, false, work.key_scales);
      GatherScales(work, true, work.value_scales);
    }
    Scores<T>(work, gathered);
    for (int q = 0; q < work.queries; ++q) {
      float* state = work.states + static_cast<int64_t>(q) * floats;
      for (int i = 0; i < floats; ++i) state[i] = 0;
      const int first = work.FirstOf(q / work.group), tokens = work.TokensOf(q / work.group);
      float* scores = work.scores + q * kSpan;
      state[0] = -HUGE_VALF;
      if (first >= tokens) continue;
      if constexpr (kScaled<T>) Multiply(work.key_scales, first, tokens, scores);
      Bend(work, q, first, tokens, scores);
      Softmax(scores, first, tokens, &state[0], &state[1]);
      if constexpr (kScaled<T>) Multiply(work.value_scales, first, tokens, scores);
    }
    WeightedValues<T>(work);
  }

  // What each row sees before the tokens that every row sees, those together, and what follows.
  template <class T>
  static void WeightedValues(const Work& work) {
    const int begin = work.FirstOf(work.queries / work.group - 1);
    const int end = work.TokensOf(0) > begin ? work.TokensOf(0) : begin;
    for (int q = 0; q < work.queries; q += work.group) {
      const int row = q / work.group, tokens = work.TokensOf(row);
      Values<T>(work, q, q + work.group, work.FirstOf(row), begin < tokens ? begin : tokens);
    }
    Values<T>(work, 0, work.queries, begin, end);
    for (int q = 0; q < work.queries; q += work.group) {
      const int row = q / work.group, first = work.FirstOf(row);
      Values<T>(work, q, q + work.group, end > first ? end : first, work.TokensOf(row));
    }
  }

  static void AttendSpan(const AttentionArgs& args, const AttentionTile& tile, int kv_head,
                         int span, float* states, float* scratch) {
    const CacheLayer& cache = args.cache;
    Work work;
    work.cache = &cache;
    work.table = tile.table;
    work.kv_head = kv_head;
    work.begin = span * kSpan;
    work.first_tokens = tile.first_limit - work.begin;
    const int seen = work.first_tokens + tile.rows - 1;
    work.tokens = seen < kSpan ? seen : kSpan;
    work.group = args.heads / cache.kv_heads;
    work.queries = tile.rows * work.group;
    work.window = args.window;
    work.scale = args.scale;
    work.softcap = args.softcap;
    work.slopes = args.slopes == nullptr ? nullptr : args.slopes + kv_head * work.group;
    work.states = states;
    work.scores = scratch;
    work.query = scratch + work.queries * kSpan;
    work.key_scales = work.query + work.queries * cache.key_dim;
    work.value_scales = work.key_scales + kSpan;
    float* gathered = work.value_scales + kSpan;
    for (int q = 0; q < work.queries; ++q) {
      const int64_t row = tile.first_row + q / work.group;
      const int head = kv_head * work.group + q % work.group;
      const float* from = args.input + (row * args.heads + head) * cache.key_dim;
      for (int d = 0; d < cache.key_dim; ++d) work.query[q * cache.key_dim + d] = from[d];
    }
    switch (cache.type) {
      case CacheType::kFloat32: return Span<float>(work, gathered);
      case CacheType::kBFloat16: return Span<BFloat16>(work, reinterpret_cast<BFloat16*>(gathered));
      case CacheType::kFloat16: return Span<Float16>(work, reinterpret_cast<Float16*>(gathered));
      case CacheType::kInt8: return Span<Int8>(work, reinterpret_cast<Int8*>(gathered));
      case CacheType::kFloat8: return Span<Float8>(work, reinterpret_cast<Float8*>(gathered));
    }
  }

  static float ExpOf(float x) {
    float lanes[V::kLanes];
    Math<V>::Exp(V::Set(x)).Store(lanes);
    return lanes[0];
  }

  static void CombineSpan(float* total, const float* states, int queries, int value_dim) {
    const int floats = StateFloats(value_dim);
    for (int q = 0; q < queries; ++q, total += floats, states += floats) {
      if (states[1] == 0) continue;  // this row sees nothing of the span
      const float maximum = states[0] > total[0] ? states[0] : total[0];
      const float before = ExpOf(total[0] - maximum);
      const float added = ExpOf(states[0] - maximum);
      total[0] = maximum;
      for (int i = 1; i < floats; ++i) total[i] = total[i] * before + states[i] * added;
    }
  }

  static void Finish(const AttentionArgs& args, const AttentionTile& tile, int kv_head,
                     const float* states) {
    const int dim = args.cache.value_dim, floats = StateFloats(dim);
    const int group = args.heads / args.cache.kv_heads;
    for (int q = 0; q < tile.rows * group; ++q, states += floats) {
      const int64_t row = tile.first_row + q / group;
      float* out = args.out + (row * args.heads + kv_head * group + q % group) * dim;
      for (int d = 0; d < dim; ++d) out[d] = states[2 + d] / states[1];
    }
  }
};

}  // namespace octavo::cpu
