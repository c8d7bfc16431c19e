// Rotary embedding of q and k, with their norms, and the write of k and v to the cache.
#pragma once

#include "elementwise.h"

namespace octavo::cpu {

template <class V>
struct RopeStore {
  // Rotates the pairs of a head in place; columns beyond rope_dim stay.
  static void Rotate(const RopeStoreArgs& args, const float* cosines, const float* sines,
                     float* head) {
    const int half = args.rope_dim / 2;
    if (args.interleaved) return RotateNeighbours(half, cosines, sines, head);
    for (int i = 0; i < half; i += V::kLanes) {
      const int count = half - i;
      const V a = Math<V>::LoadFirst(head + i, count, 0);
      const V b = Math<V>::LoadFirst(head + half + i, count, 0);
      const V cosine = Math<V>::LoadFirst(cosines + i, count, 0);
      const V sine = Math<V>::LoadFirst(sines + i, count, 0);
      Math<V>::StoreFirst(a * cosine - b * sine, count, head + i);
      Math<V>::StoreFirst(b * cosine + a * sine, count, head + half + i);
    }
  }

  static void RotateNeighbours(int pairs, const float* cosines, const float* sines, float* head) {
    for (int i = 0; i < pairs; ++i, head += 2) {
      const float a = head[0], b = head[1];
      head[0] = a * cosines[i] - b * sines[i];
      head[1] = b * cosines[i] + a * sines[i];
    }
  }

  static void Normalise(const HeadNorm& norm, int heads, int dim, float* row) {
    if (!norm.on) return;
    NormArgs args;
    args.layer = norm.layer;
    args.eps = norm.eps;
    args.cols = norm.all ? heads * dim : dim;
    for (int head = 0; head < (norm.all ? 1 : heads); ++head) {
      if (norm.weight != nullptr) args.weight = norm.weight + head * norm.weight_step;
      if (norm.bias != nullptr) args.bias = norm.bias + head * norm.bias_step;
      Norm<V>::Row(args, row + head * dim, row + head * dim);
    }
  }

  // The heads of q or k as attention wants them.
  static void Prepare(const RopeStoreArgs& args, const HeadNorm& norm, int heads, int row,
                      const float* from, float* to) {
    const int dim = args.head_dim, half = args.rope_dim / 2;
    std::memcpy(to, from, static_cast<size_t>(heads) * dim * sizeof(float));
    if (!args.norm_after_rope) Normalise(norm, heads, dim, to);
    if (args.clip != HUGE_VALF) Clip(to, heads * dim, args.clip, to);
    const float* cosines = args.cosines + static_cast<int64_t>(row) * half;
    const float* sines = args.sines + static_cast<int64_t>(row) * half;
    for (int head = 0; head < heads; ++head) Rotate(args, cosines, sines, to + head * dim);
    if (args.norm_after_rope) Normalise(norm, heads, dim, to);
  }

  // NaN stays: the second operand of Max and Min is what they give of NaN.
  static V Clipped(V x, float limit) { return V::Max(V::Set(-limit), V::Min(V::Set(limit), x)); }

  static void Clip(const float* from, int count, float limit, float* to) {
    for (int i = 0; i < count; i += V::kLanes)
      Math<V>::StoreFirst(Clipped(Math<V>::LoadFirst(from + i, count - i, 0), limit), count - i,
                          to + i);
  }

  // So many neighbouring columns of a key, or rows of values, lie side by side (IndexOf).
  template <class T>
  static constexpr int kPair = std::is_same_v<T, BFloat16> ? 2 : 1;

  // Asks for the lines that StoreAs will write to: they are many, and lie in none of the caches.
  template <class T>
  static OCTAVO_INLINE void FetchAs(const CacheLayer& cache, int position, const int32_t* table) {
    const int32_t block = table[position / cache.block_size];
    const int slot = position % cache.block_size;
    const int row = cache.block_size * kPair<T>;
    for (int head = 0; head < cache.kv_heads; ++head) {
      const T* key = KeysOf<T>(cache, block, head) + slot * kPair<T>;
      FetchLines(key, row, cache.key_dim * cache.block_size);
      const T* value =
          ValuesOf<T>(cache, block, head) + slot / kPair<T> * kPair<T> * cache.value_dim;
      FetchLines(value, 1, cache.value_dim * kPair<T>);
    }
  }

  // The lines of elements from, from + step… of a run of `count`.
  template <class T>
  static OCTAVO_INLINE void FetchLines(const T* from, int step, int count) {
    constexpr int kLine = 64 / sizeof(T);
    const int apart = step < kLine ? kLine / step * step : step;
    for (int i = 0; i < count; i += apart) V::Prefetch(from + i);
  }

  // A head's key: pairs of its elements lie apart.
  template <class T>
  static void StoreKey(const float* key, const CacheLayer& cache, int slot, T* to) {
    const int dim = cache.key_dim;
    T elements[V::kLanes];
    for (int i = 0; i < dim; i += V::kLanes) {
      Math<V>::LoadFirst(key + i, dim - i, 0).Store(elements);
      const int count = dim - i < V::kLanes ? dim - i : V::kLanes;
      for (int j = 0; j < count; j += kPair<T>) {
        T* at = to + IndexOf<T>(i + j, slot, dim, cache.block_size);
        if (j + kPair<T> <= count)
          std::memcpy(at, elements + j, kPair<T> * sizeof(T));
        else
          *at = elements[j];
      }
    }
  }

  template <class T>
  static void StoreValue(const float* value, float limit, const CacheLayer& cache, int slot,
                         T* values) {
    const int dim = cache.value_dim, size = cache.block_size;
    T* to = values + IndexOf<T>(slot, 0, size, dim);
    const int64_t step = IndexOf<T>(slot, 1, size, dim) - IndexOf<T>(slot, 0, size, dim);
    for (int i = 0; i < dim; i += V::kLanes) {
      const int count = dim - i < V::kLanes ? dim - i : V::kLanes;
      const V x = Clipped(Math<V>::LoadFirst(value + i, count, 0), limit);
      if (kPair<T> == 1 && count == V::kLanes) {
        x.Store(to + i);
        continue;
      }
      T elements[V::kLanes];
      x.Store(elements);
      for (int j = 0; j < count; ++j) to[(i + j) * step] = elements[j];
    }
  }

  template <class T>
  static void StoreAs(const RopeStoreArgs& args, int row, int position, const int32_t* table) {
    const CacheLayer& cache = args.cache;
    const int dim = args.head_dim, kv_heads = cache.kv_heads;
    const float* query = args.input + static_cast<int64_t>(row) * (args.heads + 2 * kv_heads) * dim;
    const float* key = query + args.heads * dim;
    const float* value = key + kv_heads * dim;
    float* out = args.out + static_cast<int64_t>(row) * args.heads * dim;
    const int32_t block = table[position / cache.block_size];
    const int slot = position % cache.block_size;
    Prepare(args, args.k_norm, kv_heads, row, key, out);  // there are no more of them than of q
    for (int head = 0; head < kv_heads; ++head) {
      float* own = out + head * dim;
      T* keys = KeysOf<T>(cache, block, head);
      T* values = ValuesOf<T>(cache, block, head);
      if constexpr (std::is_same_v<T, Int8>) {
        const auto scale = [&](bool of_values) {
          return ScalesOf(cache, block, head, of_values) + slot * sizeof(float);
        };
        DivideByScale(own, dim, scale(false));
        StoreKey(own, cache, slot, keys);
        Clip(value + head * dim, dim, args.clip, own);
        DivideByScale(own, dim, scale(true));
        StoreValue(own, HUGE_VALF, cache, slot, values);
      } else {
        StoreKey(own, cache, slot, keys);
        StoreValue(value + head * dim, args.clip, cache, slot, values);
      }
    }
    Prepare(args, args.q_norm, args.heads, row, query, out);
    if (args.beta != 0) Grow(args, position, out);
  }

  static void Grow(const RopeStoreArgs& args, int position, float* query) {
    const float factor = 1 + args.beta * std::log1p(static_cast<float>(position / args.span));
    for (int i = 0; i < args.heads * args.head_dim; ++i) query[i] *= factor;
  }

  static void Store(const RopeStoreArgs& args, int row, int position, const int32_t* table) {
    switch (args.cache.type) {
      case CacheType::kFloat32: return StoreAs<float>(args, row, position, table);
      case CacheType::kBFloat16: return StoreAs<BFloat16>(args, row, position, table);
      case CacheType::kFloat16: return StoreAs<Float16>(args, row, position, table);
      case CacheType::kInt8: return StoreAs<Int8>(args, row, position, table);
      case CacheType::kFloat8: return StoreAs<Float8>(args, row, position, table);
    }
  }

  static void Fetch(const CacheLayer& cache, int position, const int32_t* table) {
    switch (cache.type) {
      case CacheType::kFloat32: return FetchAs<float>(cache, position, table);
      case CacheType::kBFloat16: return FetchAs<BFloat16>(cache, position, table);
      case CacheType::kFloat16: return FetchAs<Float16>(cache, position, table);
      case CacheType::kInt8: return FetchAs<Int8>(cache, position, table);
      case CacheType::kFloat8: return FetchAs<Float8>(cache, position, table);
    }
  }
};

}  // namespace octavo::cpu
