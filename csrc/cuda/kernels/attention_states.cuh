// How the kernel on tensor cores divides its work, the softmax states that a thread holds of it,
// and what becomes of them: added over spans or warps, and written.
#pragma once

#include "attention.cuh"
#include "tensor_core.cuh"

namespace octavo::cuda {
namespace tensor_attention {

// kBytes: the cache has elements of 8 bits.
template <int kHeadDim, int kWarpCount, int kTokenCount, bool kIsDecode, bool kHasBytes>
struct Layout {
  static constexpr int kDim = kHeadDim, kWarps = kWarpCount, kTokens = kTokenCount;
  static constexpr bool kDecode = kIsDecode, kBytes = kHasBytes;
  static constexpr int kThreads = kWarps * kWarp;
  // Of a multiprocessor; 0: as the compiler finds best, which with conversions would spill, or
  // take a few registers too many for a third block.
  static constexpr int kLeastBlocks = !kBytes ? 0 : kDim < 128 ? 3 : 2;
  static constexpr int kRows = kDecode ? 16 : 16 * kWarps;
  static constexpr int kWarpTokens = kDecode ? kTokens / kWarps : kTokens;
  static constexpr int kStride = kDim + 8;  // eight rows of a matrix lie in different banks
  static constexpr int kTileElements = kTokens * kStride;
  static constexpr int kTiles = kBytes ? 1 : 2;  // of keys, and of values
  static constexpr int kElements = kRows * kStride + 2 * kTiles * kTileElements;
  static constexpr int kRawTile = kTokens * kDim;  // bytes of keys, or of values, of 8 bits
  static constexpr int kRawAt = kElements * 2, kScalesAt = kRawAt + 4 * kRawTile;
  static constexpr int kCopyBytes = kBytes ? kScalesAt + 4 * kTokens * 4 : kElements * 2;
  static constexpr int kMergeFloats = kDecode ? kWarps * 16 * (kStateFloats + kDim) : 0;
  static constexpr size_t kSharedBytes =
      kCopyBytes > kMergeFloats * 4 ? kCopyBytes : kMergeFloats * 4;
  static_assert(kSharedBytes <= 99 << 10, "sm_89 has no more");
};

template <int kDim, bool kBytes>
using Prefill = Layout<kDim, 4, (kDim > 128 ? 32 : 64), false, kBytes>;
template <int kDim, bool kBytes>
using Decode = Layout<kDim, (kDim > 128 ? 2 : 4), (kDim > 128 ? 32 : 64), true, kBytes>;

// One block's work.
struct Work {
  AttentionTile tile;
  const int32_t* table;
  Divisor group;
  int kv_head, rows;  // rows: pairs of token and head
  Part part;
};

// The token row and head of pair `pair` of the tile.
__device__ __forceinline__ int RowOf(const Work& work, int pair) {
  return work.tile.first_row + pair / work.group;
}
__device__ __forceinline__ int HeadOf(const Work& work, int pair) {
  return work.kv_head * work.group + pair % work.group;
}

// The softmax states of a warp's 16 rows. A lane holds row lane / 4 and the one eight further on,
// and of the values columns 8j + 2 · (lane % 4) and the next.
template <class L>
struct States {
  float maximum[2] = {kLowest, kLowest}, sum[2] = {};  // sum: of this lane's columns only
  float values[L::kDim / 8][4] = {};
};

// The sums of a warp's rows, from those of its lanes.
template <class L>
__device__ __forceinline__ void AddLanes(States<L>* states) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    states->sum[half] += __shfl_xor_sync(kAllLanes, states->sum[half], 1);
    states->sum[half] += __shfl_xor_sync(kAllLanes, states->sum[half], 2);
  }
}

// Turns a warp's scores into weights of its states.
template <class L>
__device__ __forceinline__ void Weigh(float (&scores)[L::kWarpTokens / 8][4], States<L>* states) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = states->maximum[half];
#pragma unroll
    for (int j = 0; j < L::kWarpTokens / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) largest = fmaxf(largest, scores[j][half * 2 + e]);
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
    const float kept = Rescale(states->maximum[half], largest);
    const float shift = largest == kLowest ? 0 : largest;
    states->maximum[half] = largest;
    states->sum[half] *= kept;
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j) {
      states->values[j][half * 2] *= kept;
      states->values[j][half * 2 + 1] *= kept;
    }
#pragma unroll
    for (int j = 0; j < L::kWarpTokens / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& score = scores[j][half * 2 + e];
        score = exp2f(score - shift);
        states->sum[half] += score;
      }
    }
  }
}

// Adds values by those weights, which, as results of one product hold them, are the left operand of
// the next.
template <class L, class T>
__device__ __forceinline__ void AddValues(const float (&weights)[L::kWarpTokens / 8][4],
                                          const SharedArray<T>& values, States<L>* states) {
  const LaneTile tile = LeftTile(threadIdx.x % kWarp);
#pragma unroll
  for (int t = 0; t < L::kWarpTokens / 16; ++t) {
    const float (&low)[4] = weights[2 * t], (&high)[4] = weights[2 * t + 1];
    const uint32_t a[4] = {PackPair<T>(low[0], low[1]), PackPair<T>(low[2], low[3]),
                           PackPair<T>(high[0], high[1]), PackPair<T>(high[2], high[3])};
#pragma unroll
    for (int d = 0; d < L::kDim; d += 16) {
      uint32_t b[4];
      LoadMatrixTransposed(b, values + ((t * 16 + tile.row) * L::kStride + d + tile.column));
      MultiplyAdd<T>(states->values[d / 8], a, b);
      MultiplyAdd<T>(states->values[d / 8 + 1], a, b + 2);
    }
  }
}

// What a thread keeps of the spans before: its states, every kThreads floats one.
constexpr int kPrefillThreads = 128;
__host__ __device__ constexpr int KeptFloats(int dim) { return kPrefillThreads * (4 + dim / 2); }

// Adds the states, whose lanes have been added, to those of the spans before. They are kept for the
// next span or, after the last, the states.
template <class L>
__device__ __forceinline__ void FoldSpan(float* kept, bool first, bool last, States<L>* states) {
  static_assert(L::kThreads == kPrefillThreads, "KeptFloats counts them");
  const auto fold = [&](int at, const Merge& merge, float* own) {
    float* before = kept + at * L::kThreads;
    const float sum = merge(first ? 0 : *before, *own);
    *before = sum;
    *own = last ? sum : 0;
  };
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float* before = kept + half * L::kThreads;
    float maximum = first ? kLowest : *before;
    const Merge merge(&maximum, states->maximum[half]);
    *before = maximum;
    states->maximum[half] = last ? maximum : kLowest;
    fold(2 + half, merge, &states->sum[half]);
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float* own = &states->values[j][half * 2 + e];
        fold(4 + j * 4 + half * 2 + e, merge, own);
      }
  }
}

// Writes one of the two rows of which this lane holds a part: maximum, sum and values.
template <class L, class To>
__device__ __forceinline__ void WriteState(const States<L>& states, int half, const To& to) {
  const int lane = threadIdx.x % kWarp;
  if (lane % 4 == 0) to[0] = states.maximum[half];
  if (lane % 4 == 0) to[1] = states.sum[half];
#pragma unroll
  for (int j = 0; j < L::kDim / 8; ++j) {
    to[kStateFloats + j * 8 + lane % 4 * 2] = states.values[j][half * 2];
    to[kStateFloats + j * 8 + lane % 4 * 2 + 1] = states.values[j][half * 2 + 1];
  }
}

// Writes the states of a warp's rows as those of a part.
template <class L>
__device__ __forceinline__ void WritePartials(const AttentionArgs& args, const Work& work,
                                              int first_pair, const States<L>& states) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int pair = first_pair + threadIdx.x % kWarp / 4 + half * 8;
    if (pair >= work.rows) continue;
    WriteState(states, half, PartialOf(args, blockIdx.x, HeadOf(work, pair), blockIdx.z));
  }
}

// Writes 16 rows of a tile from a warp's states.
template <class L, class T>
__device__ __forceinline__ void WriteRows(const AttentionArgs& args, const Work& work,
                                          int first_pair, const States<L>& states) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int pair = first_pair + lane / 4 + half * 8;
    if (pair >= work.rows) continue;
    const float scale =
        Normalizer(args, HeadOf(work, pair), states.maximum[half], states.sum[half]);
    T* out = OutputOf<T>(args, RowOf(work, pair), HeadOf(work, pair));
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j) {
      const uint32_t packed =
          PackPair<T>(states.values[j][half * 2] * scale, states.values[j][half * 2 + 1] * scale);
      *reinterpret_cast<uint32_t*>(out + j * 8 + lane % 4 * 2) = packed;
    }
  }
}

// Folds the states of the warps, in order, and writes the rows or, of a part, their states.
template <class L, class T>
__device__ __forceinline__ void MergeWarps(const AttentionArgs& args, const Work& work,
                                           const States<L>& states) {
  constexpr int kFloats = kStateFloats + L::kDim;
  const auto shared = Shared<float>(0, L::kMergeFloats);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half)
    WriteState(states, half, shared + (warp * 16 + lane / 4 + half * 8) * kFloats);
  __syncthreads();
  for (int pair = warp; pair < work.rows; pair += L::kWarps)
    FoldWarps<L::kWarps, T>(args, shared + pair * kFloats, 16 * kFloats, L::kDim, RowOf(work, pair),
                            HeadOf(work, pair));
}

}  // namespace tensor_attention
}  // namespace octavo::cuda
