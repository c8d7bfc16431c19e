// Attention of any types: of any head size that is a multiple of 8, up to 256, and over latent
// rows. A block takes one token row, one key/value head and one part of the context, and up to
// kHeads query heads that share it; each of its warps takes every fourth token, and each lane every
// 32nd element of a head.
#pragma once

#include "attention.cuh"
#include "dispatch.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace general_attention {

constexpr int kWarps = 4;

// kEach: elements of a head that a lane holds. Latent values are their keys' first columns.
template <int kHeadCount, int kMost, bool kIsLatent>
struct Layout {
  static constexpr int kHeads = kHeadCount, kMostDim = kMost, kEach = kMost / kWarp;
  static constexpr bool kLatent = kIsLatent;
  // Of a multiprocessor; 0: as the compiler finds best, which for latent rows would spill.
  static constexpr int kLeastBlocks = kLatent ? 2 : 0;
  static_assert(kHeads <= kWarps, "each head is kept by a warp");
};
using OfHeads = Layout<4, 256, false>;
using OfLatent = Layout<2, 576, true>;

template <class L>
struct State {
  float maximum = kLowest, sum = 0, values[L::kEach] = {};

  __device__ __forceinline__ void Add(float score, const float (&value)[L::kEach]) {
    const float larger = score > maximum ? score : maximum;
    const float kept = Rescale(maximum, larger), weight = exp2f(score - larger);
    maximum = larger;
    sum = sum * kept + weight;
#pragma unroll
    for (int e = 0; e < L::kEach; ++e) values[e] = values[e] * kept + weight * value[e];
  }
};

// `scale`: of rows that have one.
template <class C, int kEach>
__device__ __forceinline__ void LoadRow(const C* row, const float* scale, int dim,
                                        float (&to)[kEach]) {
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const int d = threadIdx.x % kWarp + e * kWarp;
    to[e] = d < dim ? ToFloat(row[d]) : 0;
    if constexpr (kScaled<C>) to[e] *= *scale;
  }
}

template <class L, class C>
__device__ __forceinline__ void LoadToken(const CacheView& cache, const Slot& slot, int kv_head,
                                          float (&key)[L::kEach], float (&value)[L::kEach]) {
  LoadRow(KeyRow<C>(cache, slot, kv_head), KeyScale(cache, slot, kv_head), cache.key_dim, key);
  if constexpr (L::kLatent)
    memcpy(value, key, sizeof value);
  else
    LoadRow(ValueRow<C>(cache, slot, kv_head), ValueScale(cache, slot, kv_head), cache.value_dim,
            value);
}

template <int kEach>
__device__ __forceinline__ float Dot(const float (&a)[kEach], const float (&b)[kEach]) {
  float sum = 0;
#pragma unroll
  for (int e = 0; e < kEach; ++e) sum += a[e] * b[e];
  return ReduceWarp(sum, cuda::Add());
}

// By all warps: adds the states that they hold of a part to what is kept; warp h keeps head h.
template <class L>
__device__ __forceinline__ void Keep(int dim, const State<L> (&states)[L::kHeads], State<L>* kept) {
  constexpr int kHeads = L::kHeads, kEach = L::kEach;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, floats = kStateFloats + dim;
  const auto shared = Shared<float>(0, kWarps * kHeads * floats);
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const auto mine = shared + (warp * kHeads + h) * floats;
    if (lane == 0) mine[0] = states[h].maximum;
    if (lane == 0) mine[1] = states[h].sum;
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      if (lane + e * kWarp < dim) mine[kStateFloats + lane + e * kWarp] = states[h].values[e];
  }
  __syncthreads();
  const auto own = shared + min(warp, kHeads - 1) * floats;
  const WarpFold<kWarps> fold(own, kHeads * floats);
  const Merge merge(&kept->maximum, fold.maximum);
  kept->sum = merge(kept->sum, fold.sum);
#pragma unroll
  for (int e = 0; e < kEach; ++e)
    if (lane + e * kWarp < dim)
      kept->values[e] = merge(kept->values[e], fold.Value(lane + e * kWarp));
  __syncthreads();
}

// By one warp: writes the result of a head or, where contexts are cut, its state.
template <class T, class L>
__device__ __forceinline__ void Write(const AttentionArgs& args, int row, int head,
                                      const State<L>& state) {
  const int lane = threadIdx.x % kWarp, dim = args.cache.value_dim;
  const float scale = Normalizer(args, head, state.maximum, state.sum);
  float* partial = args.splits > 1 ? PartialOf(args, row, head, blockIdx.z) : nullptr;
  if (partial != nullptr && lane == 0) {
    partial[0] = state.maximum;
    partial[1] = state.sum;
  }
#pragma unroll
  for (int e = 0; e < L::kEach; ++e) {
    const int d = lane + e * kWarp;
    if (d >= dim) continue;
    if (partial != nullptr)
      partial[kStateFloats + d] = state.values[e];
    else
      OutputOf<T>(args, row, head)[d] = Rounded<T>(state.values[e] * scale);
  }
}

template <class L, class T>
__global__ void __launch_bounds__(kWarps* kWarp, L::kLeastBlocks)
    Kernel(Mark mark, AttentionArgs args) {
  constexpr int kHeads = L::kHeads, kEach = L::kEach;
  Leave(mark);
  const DeviceStep& step = *args.step;
  const CacheView& cache = args.cache;
  const int row = blockIdx.x;
  if (row >= step.tokens) return;
  const int group = args.heads / cache.kv_heads, chunks = (group + kHeads - 1) / kHeads;
  const int kv_head = blockIdx.y / chunks, chunk = blockIdx.y % chunks;
  const int first_head = kv_head * group + chunk * kHeads;
  const int heads = min(kHeads, group - chunk * kHeads);
  const int sequence = step.sequence_of_row[row];
  const int32_t* table = TableOf(step, cache, sequence);
  const int limit = LimitOf(step, sequence, row);
  const int first = FirstSeen(args, limit);
  const SpanWork work = SpanWorkOf(args, first, limit, kWarps);
  if (work.span == 0) return;

  float queries[kHeads][kEach], slopes[kHeads];
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const int head = first_head + min(h, heads - 1);
    LoadRow(static_cast<const T*>(args.input) +
                (static_cast<int64_t>(row) * args.heads + head) * cache.key_dim,
            nullptr, cache.key_dim, queries[h]);
    slopes[h] = SlopeOf(args, head);
  }
  State<L> kept;
  for (int begin = work.part.begin, end; begin < work.part.end; begin = end) {
    State<L> states[kHeads];
    end = SpanEnd(work, begin);
    for (int token = begin + threadIdx.x / kWarp; token < end; token += kWarps) {
      const Slot slot = SlotAt(cache, table, token);
      float key[kEach], value[kEach];
      ForCacheType(cache.type, [&](auto tag) {
        LoadToken<L, typename decltype(tag)::Element>(cache, slot, kv_head, key, value);
      });
#pragma unroll
      for (int h = 0; h < kHeads; ++h)
        states[h].Add(ScoreOf(args, Dot(queries[h], key), slopes[h], token, limit), value);
    }
    Keep(cache.value_dim, states, &kept);
  }
  const int head = threadIdx.x / kWarp;
  if (head < heads) Write<T>(args, row, first_head + head, kept);
}

}  // namespace general_attention

template <class L, class T>
void LaunchGeneralAttention(const AttentionArgs& args, Stream stream) {
  using namespace general_attention;
  const int group = args.heads / args.cache.kv_heads;
  const Dim3 grid(args.rows, args.cache.kv_heads * CeilDiv(group, L::kHeads), args.splits);
  const size_t shared = sizeof(float) * kWarps * L::kHeads * (kStateFloats + args.cache.value_dim);
  Launch(L::kLatent ? "attention, latent" : "attention, general", Kernel<L, T>, grid,
         kWarps * kWarp, shared, stream, args);
}

}  // namespace octavo::cuda
