// Rotary embedding of queries and keys, and the write of keys and values to their cache slots.
#include "cache.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

// Double precision only where a sequence is longer than its model was trained for.
__global__ void AnglesKernel(Mark mark, AnglesArgs args) {
  Leave(mark);
  const int row = blockIdx.x;
  if (row >= args.step->tokens) return;
  const int position = args.step->positions[row];
  const int length = args.step->sequence_rows[args.step->sequence_of_row[row]].length;
  const bool is_long = args.long_inv_freq != nullptr && length > args.long_from;
  for (int i = threadIdx.x; i < args.half; i += blockDim.x) {
    float frequency = is_long ? args.long_inv_freq[i] : args.inv_freq[i];
    if (args.dynamic && position >= args.original) {
      const double dim = 2.0 * args.half;
      const double growth = args.factor * (position + 1.0) / args.original - (args.factor - 1);
      const double base = args.base * pow(growth, dim / (dim - 2));
      frequency = static_cast<float>(pow(base, -2.0 * i / dim));
    }
    const float angle = static_cast<float>(position) * frequency;
    const int64_t to = static_cast<int64_t>(row) * args.half + i;
    args.cosines[to] = cosf(angle) * args.scale;
    args.sines[to] = sinf(angle) * args.scale;
  }
}

constexpr int kEach = 256 / kWarp;  // elements that a lane holds of a head

__device__ __forceinline__ void ClipAll(const RopeStoreArgs& args, float (&values)[kEach]) {
  if (args.clip == 0) return;
#pragma unroll
  for (int e = 0; e < kEach; ++e) values[e] = max(-args.clip, min(values[e], args.clip));
}

__device__ __forceinline__ void Grow(const RopeStoreArgs& args, int position,
                                     float (&query)[kEach]) {
  if (args.beta == 0) return;
  const float factor = 1 + args.beta * log1pf(static_cast<float>(position / args.span));
#pragma unroll
  for (int e = 0; e < kEach; ++e) query[e] *= factor;
}

// A block a row, first of the queries and then of the keys: the mean and the factor that normalise
// all of its heads together.
template <class T>
__global__ void __launch_bounds__(kThreads) WholeNormKernel(Mark mark, RopeStoreArgs args) {
  Leave(mark);
  const auto scratch = Shared<float>(0, kThreads / kWarp);
  const int row = blockIdx.x, dim = args.cache.key_dim, kv_heads = args.cache.kv_heads;
  const bool is_key = blockIdx.y == 1;
  const int count = (is_key ? kv_heads : args.heads) * dim;
  const T* input = static_cast<const T*>(args.input) +
                   static_cast<int64_t>(row) * (args.heads + 2 * kv_heads) * dim +
                   (is_key ? args.heads * dim : 0);
  float sum = 0, mean = 0;
  for (int i = threadIdx.x; args.norm.layer && i < count; i += kThreads) sum += ToFloat(input[i]);
  if (args.norm.layer) mean = ReduceBlock(sum, Add(), scratch) / count;
  float square = 0;
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const float x = ToFloat(input[i]) - mean;
    square += x * x;
  }
  square = ReduceBlock(square, Add(), scratch) / count;
  float* to = args.norm.whole + row * 4 + (is_key ? 2 : 0);
  if (threadIdx.x == 0) to[0] = mean;
  if (threadIdx.x == 0) to[1] = 1 / sqrtf(square + args.norm.eps);
}

// Normalises a head whose element lane + 32e is values[e], 0 beyond its end. `whole`: the mean and
// the factor, where they are not the head's own.
__device__ __forceinline__ void Normalize(const HeadNorm& norm, int dim, const float* whole,
                                          const float* weight, const float* bias,
                                          float (&values)[kEach]) {
  const int lane = threadIdx.x % kWarp;
  float mean = 0, square = 0;
  if (whole != nullptr) mean = whole[0];
  if (norm.layer && whole == nullptr) {
    float sum = 0;
#pragma unroll
    for (int e = 0; e < kEach; ++e) sum += values[e];
    mean = ReduceWarp(sum, Add()) / dim;
  }
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const float x = lane + e * kWarp < dim ? values[e] - mean : 0;
    square += x * x;
  }
  float scale = 1 / sqrtf(ReduceWarp(square, Add()) / dim + norm.eps);
  if (whole != nullptr) scale = whole[1];
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const int i = lane + e * kWarp;
    if (i >= dim) continue;
    values[e] = (values[e] - mean) * scale;
    if (weight != nullptr) values[e] *= weight[i];
    if (bias != nullptr) values[e] += bias[i];
  }
}

// Rotates a head, through shared memory, where every lane finds the other of its pairs.
__device__ __forceinline__ void Rotate(const RopeStoreArgs& args, int row,
                                       const SharedArray<float>& head, float (&values)[kEach]) {
  const int lane = threadIdx.x % kWarp, half = args.rope_dim / 2;
#pragma unroll
  for (int e = 0; e < kEach; ++e)
    if (lane + e * kWarp < args.rope_dim) head[lane + e * kWarp] = values[e];
  __syncwarp();
#pragma unroll
  for (int e = 0; e < kEach; ++e) {
    const int i = lane + e * kWarp;
    if (i >= args.rope_dim) continue;
    const int pair = args.interleaved ? i / 2 : i % half;
    const bool first = args.interleaved ? i % 2 == 0 : i < half;
    const int step = args.interleaved ? 1 : half;
    const float other = head[first ? i + step : i - step];
    const int64_t at = static_cast<int64_t>(row) * half + pair;
    values[e] = values[e] * args.cosines[at] + (first ? -other : other) * args.sines[at];
  }
}

// Divides a head by its scale, which is written.
__device__ __forceinline__ void ToCodes(float* scale, float (&values)[kEach]) {
  float largest = 0;
#pragma unroll
  for (int e = 0; e < kEach; ++e) largest = LargerOrNan()(fabsf(values[e]), largest);
  const float unit = ReduceWarp(largest, LargerOrNan()) / 127;
  if (threadIdx.x % kWarp == 0) *scale = unit;
#pragma unroll
  for (int e = 0; e < kEach; ++e) values[e] /= unit;
}

template <class T>
__device__ __forceinline__ void StoreHead(T* to, int dim, const float (&values)[kEach]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int e = 0; e < kEach; ++e)
    if (lane + e * kWarp < dim) to[lane + e * kWarp] = Rounded<T>(values[e]);
}

// The shared floats of a head; arrays lie at multiples of 16 bytes.
__host__ __device__ __forceinline__ int HeadFloats(int rope_dim) { return (rope_dim + 3) / 4 * 4; }

// A warp a head: those of the queries, then of the keys, then of the values.
template <class T>
__global__ void __launch_bounds__(kThreads) RopeStoreKernel(Mark mark, RopeStoreArgs args) {
  Leave(mark);
  const DeviceStep& step = *args.step;
  const CacheView& cache = args.cache;
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int row = blockIdx.x, head = blockIdx.y * (kThreads / kWarp) + warp;
  const int all_heads = args.heads + 2 * cache.kv_heads, dim = cache.key_dim;
  if (row >= step.tokens || head >= all_heads) return;

  const T* input =
      static_cast<const T*>(args.input) + (static_cast<int64_t>(row) * all_heads + head) * dim;
  const bool is_query = head < args.heads, is_value = head >= args.heads + cache.kv_heads;
  const int own_head = is_query ? head : (head - args.heads) % cache.kv_heads;
  float values[kEach];
#pragma unroll
  for (int e = 0; e < kEach; ++e)
    values[e] = lane + e * kWarp < dim ? ToFloat(input[lane + e * kWarp]) : 0;
  if (is_value) {
    ClipAll(args, values);
  } else {
    const HeadNorm& norm = args.norm;
    const float* weight = is_query ? norm.q_weight : norm.k_weight;
    const float* bias = is_query ? norm.q_bias : norm.k_bias;
    if (weight != nullptr)
      weight += own_head * (is_query ? norm.q_weight_step : norm.k_weight_step);
    if (bias != nullptr) bias += own_head * (is_query ? norm.q_bias_step : norm.k_bias_step);
    const float* whole =
        norm.whole == nullptr ? nullptr : norm.whole + row * 4 + (is_query ? 0 : 2);
    if (norm.used && !norm.after_rope) Normalize(norm, dim, whole, weight, bias, values);
    ClipAll(args, values);
    if (args.rope_dim > 0) {
      const int floats = HeadFloats(args.rope_dim);
      Rotate(args, row, Shared<float>(warp * floats * sizeof(float), floats), values);
    }
    if (norm.used && norm.after_rope) Normalize(norm, dim, nullptr, weight, bias, values);
  }
  if (is_query) {
    Grow(args, step.positions[row], values);
    StoreHead(static_cast<T*>(args.out) + (static_cast<int64_t>(row) * args.heads + head) * dim,
              dim, values);
    return;
  }
  const Slot slot = SlotOf(step, cache, row);
  if (cache.type == CacheType::kInt8) {
    float* scale = is_value ? ValueScale(cache, slot, own_head) : KeyScale(cache, slot, own_head);
    ToCodes(scale, values);
  }
  ForCacheType(cache.type, [&](auto tag) {
    using C = typename decltype(tag)::Element;
    StoreHead(is_value ? ValueRow<C>(cache, slot, own_head) : KeyRow<C>(cache, slot, own_head), dim,
              values);
  });
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void RotaryAngles(const AnglesArgs& args, Stream stream) {
  Launch("rotary angles", AnglesKernel, args.rows, kWarp, 0, stream, args);
}

void RopeStoreKv(const RopeStoreArgs& args, Stream stream) {
  const int heads = args.heads + 2 * args.cache.kv_heads;
  const Dim3 grid(args.rows, CeilDiv(heads, kThreads / kWarp));
  ForType(args.type, [&](auto type) {
    using T = typename decltype(type)::Element;
    if (args.norm.whole != nullptr)
      Launch("norm of q and k", WholeNormKernel<T>, Dim3(args.rows, 2), kThreads,
             kThreads / kWarp * sizeof(float), stream, args);
    const size_t shared = sizeof(float) * (kThreads / kWarp) * HeadFloats(args.rope_dim);
    Launch("ropeStoreKv", RopeStoreKernel<T>, grid, kThreads, shared, stream, args);
  });
}

}  // namespace octavo::cuda
