// Tiles of keys and values in shared memory, for attention on tensor cores. Elements have 16 bits;
// those of a cache of 8 bits, of either kind, are converted once a tile, from where asynchronous
// copies leave them.
#pragma once

#include "attention_states.cuh"

namespace octavo::cuda {
namespace tensor_attention {

// Rows of C, `stride` elements apart. Tokens beyond the part are zeros: what their slots hold may
// be no numbers.
template <class L, class C>
__device__ __forceinline__ void CopyTokens(const AttentionArgs& args, const Work& work,
                                           int first_token, int stride, SharedArray<C> keys,
                                           SharedArray<C> values) {
  constexpr int kChunks = L::kDim / kPackOf<C>;
  for (int i = threadIdx.x; i < L::kTokens * kChunks; i += L::kThreads) {
    const int token = first_token + i / kChunks, d = i % kChunks * kPackOf<C>;
    const bool inside = token < work.part.end;
    const Slot slot = SlotAt(args.cache, work.table, inside ? token : work.part.begin);
    const int to = i / kChunks * stride + d;
    CopyAsync(keys + to, KeyRow<const C>(args.cache, slot, work.kv_head) + d, inside);
    CopyAsync(values + to, ValueRow<const C>(args.cache, slot, work.kv_head) + d, inside);
  }
}

// The scales of those rows, first of the keys and then of the values.
template <class L>
__device__ __forceinline__ void CopyScales(const AttentionArgs& args, const Work& work,
                                           int first_token, SharedArray<float> to) {
  for (int i = threadIdx.x; i < L::kTokens; i += L::kThreads) {
    const bool inside = first_token + i < work.part.end;
    const Slot slot = SlotAt(args.cache, work.table, inside ? first_token + i : work.part.begin);
    const float* key = KeyScale(args.cache, slot, work.kv_head);
    const float* value = ValueScale(args.cache, slot, work.kv_head);
    CopyAsync<sizeof(float)>(to + i, key, inside);
    CopyAsync<sizeof(float)>(to + (L::kTokens + i), value, inside);
  }
}

// Rows of 8 bits, and their scales, as elements of T.
template <class L, class T, class C>
__device__ __forceinline__ void ConvertTile(const SharedArray<Pack<C, 8>>& from,
                                            const SharedArray<float>& scales,
                                            const SharedArray<Pack<T, 8>>& to) {
  constexpr int kChunks = L::kDim / 8;
#pragma unroll 1
  for (int i = threadIdx.x; i < L::kTokens * kChunks; i += L::kThreads) {
    const int token = i / kChunks;
    const float scale = kScaled<C> ? float(scales[token]) : 1;
    const Pack<C, 8> codes = from[i];
    Pack<T, 8> numbers;
#pragma unroll
    for (int j = 0; j < 8; ++j) numbers.at[j] = Rounded<T>(ToFloat(codes.at[j]) * scale);
    to[token * (L::kStride / 8) + i % kChunks] = numbers;
  }
}

// The tiles of keys and values: where copies go, and where a tile is read once they have come.
template <class L, class T>
class Tiles {
  static constexpr int kKeysAt = L::kRows * L::kStride;
  static constexpr int kValuesAt = kKeysAt + L::kTiles * L::kTileElements;

 public:
  __device__ __forceinline__ void Copy(const AttentionArgs& args, const Work& work, int token,
                                       int stage) const {
    if (token < work.part.end) {
      if constexpr (L::kBytes) {
        CopyTokens<L>(args, work, token, L::kDim, Raw<uint8_t>(stage, 0), Raw<uint8_t>(stage, 1));
        if (args.cache.type == CacheType::kInt8) CopyScales<L>(args, work, token, Scales(stage));
      } else {
        CopyTokens<L>(args, work, token, L::kStride, Keys(stage), Values(stage));
      }
    }
    CommitCopies();
  }

  // By all threads, between two barriers.
  __device__ __forceinline__ void Convert(CacheType type, int stage) const {
    if constexpr (L::kBytes) {
      type == CacheType::kInt8 ? ConvertBytes<Int8>(stage) : ConvertBytes<Float8>(stage);
      __syncthreads();
    }
  }

  __device__ __forceinline__ SharedArray<T> Keys(int stage) const {
    return Shared<T>(sizeof(T) * kKeysAt, L::kTiles * L::kTileElements) + TileAt(stage);
  }
  __device__ __forceinline__ SharedArray<T> Values(int stage) const {
    return Shared<T>(sizeof(T) * kValuesAt, L::kTiles * L::kTileElements) + TileAt(stage);
  }

 private:
  __device__ __forceinline__ int TileAt(int stage) const {
    return L::kBytes ? 0 : stage * L::kTileElements;
  }
  template <class C>
  __device__ __forceinline__ void ConvertBytes(int stage) const {
    const auto packs = [](int at) {
      return Shared<Pack<T, 8>>(sizeof(T) * at, L::kTileElements / 8);
    };
    ConvertTile<L, T, C>(Raw<Pack<C, 8>>(stage, 0), Scales(stage), packs(kKeysAt));
    ConvertTile<L, T, C>(Raw<Pack<C, 8>>(stage, 1), Scales(stage) + L::kTokens, packs(kValuesAt));
  }
  template <class Element>
  __device__ __forceinline__ SharedArray<Element> Raw(int stage, int values) const {
    return Shared<Element>(L::kRawAt + (2 * stage + values) * L::kRawTile,
                           L::kRawTile / sizeof(Element));
  }
  __device__ __forceinline__ SharedArray<float> Scales(int stage) const {
    return Shared<float>(L::kScalesAt + stage * 2 * L::kTokens * sizeof(float), 2 * L::kTokens);
  }
};

}  // namespace tensor_attention
}  // namespace octavo::cuda
