// Rotary embedding of queries and keys, and the write of keys and values to their cache slots.
#include "cache.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

// Double precision only where a sequence is longer than its model was trained for.
__global__ void AnglesKernel(AnglesArgs args) {
  const int row = blockIdx.x;
  if (row >= args.step->tokens) return;
  const int position = args.step->positions[row];
  for (int i = threadIdx.x; i < args.half; i += blockDim.x) {
    float frequency = args.inv_freq[i];
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

// A warp a head: those of the queries, then of the keys, then of the values.
template <class T, class C>
__global__ void __launch_bounds__(kThreads) RopeStoreKernel(RopeStoreArgs args) {
  const DeviceStep& step = *args.step;
  const CacheView& cache = args.cache;
  const int row = blockIdx.x, lane = threadIdx.x % kWarp;
  const int head = blockIdx.y * (kThreads / kWarp) + threadIdx.x / kWarp;
  const int all_heads = args.heads + 2 * cache.kv_heads, dim = cache.head_dim;
  if (row >= step.tokens || head >= all_heads) return;

  const T* input =
      static_cast<const T*>(args.input) + (static_cast<int64_t>(row) * all_heads + head) * dim;
  const bool is_query = head < args.heads, is_value = head >= args.heads + cache.kv_heads;
  const int half = args.rope_dim / 2, rotated = is_value ? 0 : args.rope_dim;
  T* query = static_cast<T*>(args.out) + (static_cast<int64_t>(row) * args.heads + head) * dim;
  C* slot = nullptr;
  if (!is_query) {
    const int kv_head = (head - args.heads) % cache.kv_heads;
    slot = is_value ? ValueRow<C>(cache, SlotOf(step, cache, row), kv_head)
                    : KeyRow<C>(cache, SlotOf(step, cache, row), kv_head);
  }
  for (int i = lane; i < dim; i += kWarp) {
    float x = ToFloat(input[i]);
    if (i < rotated) {
      const int pair = i % half;
      const int64_t at = static_cast<int64_t>(row) * half + pair;
      const float other = ToFloat(input[i < half ? i + half : pair]);
      x = x * args.cosines[at] + (i < half ? -other : other) * args.sines[at];
    }
    if (is_query)
      query[i] = Rounded<T>(x);
    else
      slot[i] = Rounded<C>(x);
  }
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
    ForType(args.cache.type, [&](auto cache) {
      using T = typename decltype(type)::Element;
      using C = typename decltype(cache)::Element;
      Launch("ropeStoreKv", RopeStoreKernel<T, C>, grid, kThreads, 0, stream, args);
    });
  });
}

}  // namespace octavo::cuda
