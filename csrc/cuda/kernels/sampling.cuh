// The parts of sampling: an order over tokens, the choice of the first of them by that order
// without sorting, and random numbers. A block works on one row of logits.
#pragma once

#include "platform.cuh"
#include "warp.cuh"

namespace octavo::cuda {

constexpr int kSampleThreads = 512;
constexpr float kRemoved = -INFINITY;
constexpr int kBins = 256;

// Larger for a token that comes before: by value, then by lower id. NaN counts as −infinity.
__device__ __forceinline__ uint64_t KeyOf(float value, int id) {
  if (!(value == value)) value = kRemoved;
  if (value == 0) value = 0;  // −0 is no less
  const uint32_t bits = __float_as_uint(value);
  const uint32_t ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << 32 | ~static_cast<uint32_t>(id);
}

// A probability weight, e^value of a value that is 0 for the likeliest token, as an integer: sums
// of integers do not depend on their order, so that the same seed draws the same token every time.
__device__ __forceinline__ uint64_t MassOf(float value) {
  constexpr float kOne = 4294967296.0f;
  return value == kRemoved ? 0 : static_cast<uint64_t>(expf(value) * kOne);
}

// What a sampling block shares.
struct SampleShared {
  SharedArray<uint64_t> bins;     // [kBins]
  SharedArray<uint64_t> sums;     // [a warp]
  SharedArray<float> numbers;     // [a warp]
  SharedArray<uint64_t> outcome;  // [2]
};
constexpr size_t kSampleSharedBytes = 8 * kBins + 8 * kWarp + 4 * kWarp + 16;

__device__ __forceinline__ SampleShared ShareSample() {
  return {Shared<uint64_t>(0, kBins), Shared<uint64_t>(8 * kBins, kWarp),
          Shared<float>(8 * kBins + 8 * kWarp, kWarp), Shared<uint64_t>(8 * kBins + 12 * kWarp, 2)};
}

// Of one warp: finds the bin, from the highest down, in which `needed` is reached, and leaves the
// longer prefix and what is needed of that bin in `outcome`. If all bins are too few, the lowest.
__device__ inline void ChooseBin(uint64_t prefix, uint64_t needed, const SampleShared& shared) {
  constexpr int kEach = kBins / kWarp;
  const int lane = threadIdx.x, highest = (kWarp - lane) * kEach - 1;
  uint64_t own = 0;
  for (int i = 0; i < kEach; ++i) own += shared.bins[highest - i];
  uint64_t through = own;
  for (int up = 1; up < kWarp; up *= 2) {
    const uint64_t above = __shfl_up_sync(kAllLanes, through, static_cast<unsigned>(up));
    if (lane >= up) through += above;
  }
  const bool last = lane == kWarp - 1;
  if (through - own >= needed || (through < needed && !last)) return;
  uint64_t left = needed - (through - own);
  int bin = highest;
  for (; bin > highest - kEach + 1 && shared.bins[bin] < left; --bin) left -= shared.bins[bin];
  shared.outcome[0] = prefix << 8 | static_cast<uint64_t>(bin);
  shared.outcome[1] = left;
}

// The key of the last token that is needed: those of at least this key, and no fewer, weigh
// `needed` together. `weigh(value)` gives a token's weight. Eight bits of the key a pass: a
// histogram of the tokens that agree in the bits known so far, and the bin in which the need is
// met. `passes`: 4 to choose by value alone (all tokens of the last value are in), 8 for one exact
// order.
template <class Weigh>
__device__ uint64_t SelectKey(const float* values, int count, uint64_t needed, int passes,
                              const SampleShared& shared, const Weigh& weigh) {
  uint64_t prefix = 0;
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = 56 - 8 * pass;
    for (int bin = threadIdx.x; bin < kBins; bin += blockDim.x) shared.bins[bin] = 0;
    __syncthreads();
    for (int id = threadIdx.x; id < count; id += blockDim.x) {
      const uint64_t key = KeyOf(values[id], id);
      if (pass > 0 && key >> (shift + 8) != prefix) continue;
      const uint64_t weight = weigh(values[id]);
      if (weight != 0) AtomicAdd(shared.bins + static_cast<int>(key >> shift & 0xff), weight);
    }
    __syncthreads();
    if (threadIdx.x < kWarp) ChooseBin(prefix, needed, shared);
    __syncthreads();
    prefix = shared.outcome[0];
    needed = shared.outcome[1];
    __syncthreads();
  }
  return passes == 8 ? prefix : prefix << 8 * (8 - passes);
}

// Philox4x32-10, as csrc/cpu/philox.h; the first two of its four words.
__device__ __forceinline__ double UniformOf(uint32_t counter, uint32_t stream, uint32_t key0,
                                            uint32_t key1) {
  uint32_t c[4] = {counter, stream, 0, 0};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c[0]), low0 = 0xD2511F53u * c[0];
    const uint32_t high2 = __umulhi(0xCD9E8D57u, c[2]), low2 = 0xCD9E8D57u * c[2];
    c[0] = high2 ^ c[1] ^ key0;
    c[1] = low2;
    c[2] = high0 ^ c[3] ^ key1;
    c[3] = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  const uint64_t bits = uint64_t{c[0] >> 5} << 26 | c[1] >> 6;
  return static_cast<double>(bits) * (1.0 / 9007199254740992.0);
}

// The token at `uniform` of the way through all mass, in the order of ids. Each warp adds up one
// stretch of ids; the warp in whose stretch the token lies walks through it.
__device__ inline int DrawToken(const float* values, int count, double uniform,
                                const SampleShared& shared) {
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp, warps = blockDim.x / kWarp;
  const int stretch = (count + warps - 1) / warps;
  const int begin = min(count, warp * stretch), end = min(count, begin + stretch);
  uint64_t sum = 0;
  for (int id = begin + lane; id < end; id += kWarp) sum += MassOf(values[id]);
  sum = ReduceWarp(sum, Add());
  if (lane == 0) shared.sums[warp] = sum;
  __syncthreads();
  uint64_t total = 0, before = 0;
  for (int w = 0; w < warps; ++w) {
    const uint64_t of_warp = shared.sums[w];
    if (w < warp) before += of_warp;
    total += of_warp;
  }
  const uint64_t target = static_cast<uint64_t>(uniform * static_cast<double>(total));
  if (threadIdx.x == 0) shared.outcome[0] = 0;
  __syncthreads();
  if (before <= target && target < before + sum) {
    for (int first = begin; first < end; first += kWarp) {
      const int id = first + lane;
      uint64_t through = id < end ? MassOf(values[id]) : 0;
      for (int up = 1; up < kWarp; up *= 2) {
        const uint64_t lower = __shfl_up_sync(kAllLanes, through, static_cast<unsigned>(up));
        if (lane >= up) through += lower;
      }
      const unsigned past = __ballot_sync(kAllLanes, before + through > target);
      before += __shfl_sync(kAllLanes, through, kWarp - 1);
      if (past == 0) continue;
      if (lane == 0) shared.outcome[0] = static_cast<uint64_t>(first + __popc(~past & (past - 1)));
      break;
    }
  }
  __syncthreads();
  return static_cast<int>(shared.outcome[0]);
}

}  // namespace octavo::cuda
