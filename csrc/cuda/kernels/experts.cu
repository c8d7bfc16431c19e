// Mixtures of experts: the choice of each token's experts, and the sum of what they give.
#include "dispatch.h"
#include "launchers.h"
#include "sampling.cuh"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

// What a warp shares that chooses a token's experts.
struct RouteShared {
  SharedArray<float> scores, choice;  // [experts] what weighs, and what is compared
  SharedArray<float> totals;          // [groups]
};

// Floats of the first two; arrays lie at multiples of 16 bytes.
__host__ __device__ __forceinline__ int ExpertFloats(const RouteArgs& args) {
  return (args.experts + 3) / 4 * 4;
}

// The index of the largest of `count` values, the first of equal ones; −1 where none is left. Those
// that were taken are NaN, and so is what is no number.
__device__ __forceinline__ int LargestOf(const SharedArray<float>& values, int count) {
  uint64_t best = 0;
  for (int i = threadIdx.x; i < count; i += kWarp) {
    const float value = values[i];
    if (value == value) best = Larger()(best, KeyOf(value, i));
  }
  best = ReduceWarp(best, Larger());
  return best == 0 ? -1 : static_cast<int>(~static_cast<uint32_t>(best));
}

__device__ __forceinline__ float TakeLargest(const SharedArray<float>& values, int count,
                                             int* index) {
  *index = LargestOf(values, count);
  const float value = *index < 0 ? -INFINITY : float(values[*index]);
  __syncwarp();
  if (threadIdx.x == 0 && *index >= 0) values[*index] = NAN;
  __syncwarp();
  return value;
}

__device__ __forceinline__ void Score(const RouteArgs& args, const float* logits,
                                      const RouteShared& shared) {
  float largest = -INFINITY, sum = 0;
  for (int e = threadIdx.x; e < args.experts; e += kWarp) largest = fmaxf(largest, logits[e]);
  largest = ReduceWarp(largest, Larger());
  for (int e = threadIdx.x; e < args.experts; e += kWarp) {
    const float score = args.softmax ? expf(logits[e] - largest) : 1 / (1 + expf(-logits[e]));
    shared.scores[e] = score;
    sum += score;
  }
  const float scale = args.softmax ? ReduceWarp(sum, Add()) : 1;
  for (int e = threadIdx.x; e < args.experts; e += kWarp) {
    const float score = shared.scores[e] / scale;
    shared.scores[e] = score;
    shared.choice[e] = args.bias == nullptr ? score : score + args.bias[e];
    if (!(shared.choice[e] == shared.choice[e])) shared.choice[e] = -INFINITY;
  }
  __syncwarp();
}

// Takes away the experts of all groups but the best.
__device__ __forceinline__ void KeepBestGroups(const RouteArgs& args, const RouteShared& shared) {
  const int size = args.experts / args.groups;
  for (int group = 0; group < args.groups; ++group) {
    const auto own = shared.choice + group * size;
    int best = 0, second = 0;
    const float largest = TakeLargest(own, size, &best);
    float total = largest;
    if (args.best_two) {
      const float next = TakeLargest(own, size, &second);
      total += next;
      if (threadIdx.x == 0) own[second] = next;
    }
    if (threadIdx.x == 0) own[best] = largest;
    if (threadIdx.x == 0) shared.totals[group] = total;
    __syncwarp();
  }
  for (int i = 0; i < args.top_groups; ++i) {
    int group = 0;
    TakeLargest(shared.totals, args.groups, &group);
  }
  // What was taken of the totals is kept of the experts.
  for (int e = threadIdx.x; e < args.experts; e += kWarp) {
    const float total = shared.totals[e / size];
    if (total == total) shared.choice[e] = NAN;
  }
  __syncwarp();
}

// A warp a row.
__global__ void __launch_bounds__(kWarp) RouteKernel(Mark mark, RouteArgs args) {
  Leave(mark);
  const int experts = args.experts;
  const size_t bytes = sizeof(float) * ExpertFloats(args);
  const RouteShared shared = {Shared<float>(0, experts), Shared<float>(bytes, experts),
                              Shared<float>(2 * bytes, args.groups)};
  const int64_t row = blockIdx.x;
  Score(args, args.input + row * experts, shared);
  if (args.groups > 1) KeepBestGroups(args, shared);
  float* out = args.out + row * 2 * args.top_k;
  float sum = 0;
  for (int j = 0; j < args.top_k; ++j) {
    int expert = 0;
    TakeLargest(shared.choice, experts, &expert);
    expert = max(expert, 0);
    const float score = shared.scores[expert];
    sum += score;
    if (threadIdx.x == 0) out[j] = static_cast<float>(expert);
    if (threadIdx.x == 0) out[args.top_k + j] = score;
  }
  __syncwarp();
  if (!args.renormalise) sum = 1;
  if (threadIdx.x != 0) return;
  for (int j = 0; j < args.top_k; ++j) out[args.top_k + j] = out[args.top_k + j] / sum * args.scale;
}

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) CombineKernel(Mark mark, CombineExpertsArgs args) {
  Leave(mark);
  const int64_t row = blockIdx.x;
  const T* parts = static_cast<const T*>(args.input) + row * args.top_k * args.cols;
  const float* weights = args.routes + (row * 2 + 1) * args.top_k;
  const T* shared = static_cast<const T*>(args.shared);
  float gate = 1;
  if (args.gate != nullptr) gate = 1 / (1 + expf(-ToFloat(static_cast<const T*>(args.gate)[row])));
  for (int c = threadIdx.x; c < args.cols; c += kThreads) {
    float sum = shared == nullptr ? 0 : gate * ToFloat(shared[row * args.cols + c]);
    for (int j = 0; j < args.top_k; ++j) sum += weights[j] * ToFloat(parts[j * args.cols + c]);
    static_cast<T*>(args.out)[row * args.cols + c] = Rounded<T>(sum);
  }
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void Route(const RouteArgs& args, Stream stream) {
  const size_t shared = sizeof(float) * (2 * ExpertFloats(args) + args.groups);
  Launch("route", RouteKernel, args.rows, kWarp, shared, stream, args);
}

void CombineExperts(const CombineExpertsArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("combine experts", CombineKernel<T>, args.rows, kThreads, 0, stream, args);
  });
}

}  // namespace octavo::cuda
