// Latent attention: one row a token, which all heads share. Its write, with the queries; and which
// kernel attends over it. Values are the first columns of their keys.
#include "attention_general.cuh"
#include "latent_tensor.cuh"

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
template <class T>
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
  if (cache.type == CacheType::kInt8) {
    unit = ReduceBlock(largest, LargerOrNan(), scratch) / 127;
    if (threadIdx.x == 0) *KeyScale(cache, slot, 0) = unit;
  }
  ForCacheType(cache.type, [&](auto tag) {
    using C = typename decltype(tag)::Element;
    C* to = KeyRow<C>(cache, slot, 0);
    for (int i = threadIdx.x; i < dim; i += kThreads)
      to[i] = Rounded<C>(kScaled<C> ? key[i] / unit : float(key[i]));
  });

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

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void StoreLatent(const StoreLatentArgs& args, Stream stream) {
  const size_t shared = sizeof(float) * (kThreads / kWarp + args.cache.key_dim);
  ForType(args.type, [&](auto type) {
    Launch("storeLatent", StoreLatentKernel<typename decltype(type)::Element>, args.rows, kThreads,
           shared, stream, args);
  });
}

bool FitsLatentAttention(const CacheView& cache) {
  return cache.key_dim <= general_attention::OfLatent::kMostDim;
}

int LatentHeads(const AttentionArgs& args) {
  return HasTensorLatent(args) ? latent_attention::kHeads : general_attention::OfLatent::kHeads;
}

void LatentAttention(const AttentionArgs& args, Stream stream) {
  if (HasTensorLatent(args)) return LaunchTensorLatent(args, stream);
  ForType(args.type, [&](auto type) {
    using T = typename decltype(type)::Element;
    LaunchGeneralAttention<general_attention::OfLatent, T>(args, stream);
  });
}

}  // namespace octavo::cuda
