// Latent attention: one row a token, which all heads share. Its write, with the queries; and
// attention over it, whose values are the first columns of its keys.
#include "attention.cuh"
#include "dispatch.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

// Columns of a head that a rope turns, `i` of them, from `from`.
template <class T>
__device__ __forceinline__ float Turned(const StoreLatentArgs& args, int row, const T* from,
                                        int i) {
  const int half = args.turned / 2;
  const int pair = args.interleaved ? i / 2 : i % half;
  const bool first = args.interleaved ? i % 2 == 0 : i < half;
  const int step = args.interleaved ? 1 : half;
  const int64_t at = static_cast<int64_t>(row) * half + pair;
  const float own = ToFloat(from[i]), other = ToFloat(from[first ? i + step : i - step]);
  return own * args.cosines[at] + (first ? -other : other) * args.sines[at];
}

// A block a row.
template <class T, class C>
__global__ void __launch_bounds__(kThreads) StoreLatentKernel(Mark mark, StoreLatentArgs args) {
  Leave(mark);
  const DeviceStep& step = *args.step;
  const CacheView& cache = args.cache;
  const auto scratch = Shared<float>(0, kThreads / kWarp);
  const auto key = Shared<float>(sizeof(float) * kThreads / kWarp, cache.key_dim);
  const int row = blockIdx.x, rank = cache.value_dim, dim = cache.key_dim;
  if (row >= step.tokens) return;

  const T* latent = static_cast<const T*>(args.latent) + static_cast<int64_t>(row) * dim;
  float square = 0;
  for (int i = threadIdx.x; i < rank; i += kThreads) {
    const float x = ToFloat(latent[i]);
    square += x * x;
  }
  const float scale = 1 / sqrtf(ReduceBlock(square, Add(), scratch) / rank + args.eps);
  float largest = 0;
  for (int i = threadIdx.x; i < dim; i += kThreads) {
    const float x = i < rank ? ToFloat(latent[i]) * scale * args.weight[i]
                             : Turned(args, row, latent + rank, i - rank);
    key[i] = x;
    largest = LargerOrNan()(fabsf(x), largest);
  }
  const Slot slot = SlotOf(step, cache, row);
  float unit = 1;
  if constexpr (kScaled<C>) {
    unit = ReduceBlock(largest, LargerOrNan(), scratch) / 127;
    if (threadIdx.x == 0) *KeyScale(cache, slot, 0) = unit;
  }
  C* to = KeyRow<C>(cache, slot, 0);
  for (int i = threadIdx.x; i < dim; i += kThreads)
    to[i] = Rounded<C>(kScaled<C> ? key[i] / unit : float(key[i]));

  const T* absorbed =
      static_cast<const T*>(args.input) + static_cast<int64_t>(row) * args.heads * rank;
  const T* turning = static_cast<const T*>(args.positions) +
                     static_cast<int64_t>(row + 1) * args.position_cols - args.heads * args.turned;
  T* out = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.heads * dim;
  for (int i = threadIdx.x; i < args.heads * dim; i += kThreads) {
    const int head = i / dim, d = i % dim;
    out[i] = d < rank ? absorbed[head * rank + d]
                      : Rounded<T>(Turned(args, row, turning + head * args.turned, d - rank));
  }
}

constexpr int kWarps = 4, kHeads = 2, kMostDim = 576;
constexpr int kEach = kMostDim / kWarp;  // columns of a key that a lane holds

// A block takes a row and kHeads heads; each warp every fourth token of the context, in order.
template <class T, class C>
__global__ void __launch_bounds__(kWarps* kWarp) LatentKernel(Mark mark, AttentionArgs args) {
  Leave(mark);
  const DeviceStep& step = *args.step;
  const CacheView& cache = args.cache;
  const int row = blockIdx.x, first_head = blockIdx.y * kHeads;
  if (row >= step.tokens) return;
  const int heads = min(kHeads, args.heads - first_head);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, dim = cache.value_dim;
  const int sequence = step.sequence_of_row[row];
  const int32_t* table = TableOf(step, cache, sequence);
  const int limit = LimitOf(step, sequence, row);
  const Part part = PartOf(FirstSeen(args, limit), limit, blockIdx.z, args.splits, kWarps);

  float queries[kHeads][kEach], values[kHeads][kEach] = {};
  float maximum[kHeads], sum[kHeads] = {};
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const int head = first_head + min(h, heads - 1);
    const T* query = static_cast<const T*>(args.input) +
                     (static_cast<int64_t>(row) * args.heads + head) * cache.key_dim;
    maximum[h] = kLowest;
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      queries[h][e] = lane + e * kWarp < cache.key_dim ? ToFloat(query[lane + e * kWarp]) : 0;
  }
  for (int token = part.begin + warp; token < part.end; token += kWarps) {
    const Slot slot = SlotAt(cache, table, token);
    const C* from = KeyRow<const C>(cache, slot, 0);
    const float unit = kScaled<C> ? *KeyScale(cache, slot, 0) : 1;
    float key[kEach];
#pragma unroll
    for (int e = 0; e < kEach; ++e) {
      const int d = lane + e * kWarp;
      key[e] = d < cache.key_dim ? ToFloat(from[d]) * unit : 0;
    }
#pragma unroll
    for (int h = 0; h < kHeads; ++h) {
      float product = 0;
#pragma unroll
      for (int e = 0; e < kEach; ++e) product += queries[h][e] * key[e];
      const float score = ScoreOf(args, ReduceWarp(product, Add()), 0, token, limit);
      const float larger = fmaxf(score, maximum[h]);
      const float kept = Rescale(maximum[h], larger), weight = exp2f(score - larger);
      maximum[h] = larger;
      sum[h] = sum[h] * kept + weight;
#pragma unroll
      for (int e = 0; e < kEach; ++e) values[h][e] = values[h][e] * kept + weight * key[e];
    }
  }
  const int floats = kStateFloats + dim;
  const auto shared = Shared<float>(0, kWarps * kHeads * floats);
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    const auto mine = shared + (warp * kHeads + h) * floats;
    if (lane == 0) mine[0] = maximum[h];
    if (lane == 0) mine[1] = sum[h];
#pragma unroll
    for (int e = 0; e < kEach; ++e)
      if (lane + e * kWarp < dim) mine[kStateFloats + lane + e * kWarp] = values[h][e];
  }
  __syncthreads();
  for (int h = warp; h < heads; h += kWarps)
    FoldWarps<kWarps, T>(args, shared + h * floats, kHeads * floats, dim, row, first_head + h);
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void StoreLatent(const StoreLatentArgs& args, Stream stream) {
  const size_t shared = sizeof(float) * (kThreads / kWarp + args.cache.key_dim);
  ForType(args.type, [&](auto type) {
    ForCacheType(args.cache.type, [&](auto cache) {
      using T = typename decltype(type)::Element;
      using C = typename decltype(cache)::Element;
      Launch("storeLatent", StoreLatentKernel<T, C>, args.rows, kThreads, shared, stream, args);
    });
  });
}

bool FitsLatentAttention(const CacheView& cache) { return cache.key_dim <= kMostDim; }

void LatentAttention(const AttentionArgs& args, Stream stream) {
  const Dim3 grid(args.rows, CeilDiv(args.heads, kHeads), args.splits);
  const size_t shared = sizeof(float) * kWarps * kHeads * (kStateFloats + args.cache.value_dim);
  ForType(args.type, [&](auto type) {
    ForCacheType(args.cache.type, [&](auto cache) {
      using T = typename decltype(type)::Element;
      using C = typename decltype(cache)::Element;
      Launch("attention, latent", LatentKernel<T, C>, grid, kWarps * kWarp, shared, stream, args);
    });
  });
}

}  // namespace octavo::cuda
