// What the attention kernels share: the rule that turns products into scores, and the softmax of
// one query over a part of its context, as (maximum, sum, weighted values). Scores are in base 2.
#pragma once

#include "cache.cuh"
#include "launchers.h"
#include "platform.cuh"

namespace octavo::cuda {

constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLowest = -INFINITY;
constexpr int kStateFloats = 2;  // maximum and sum, before the values

// The factor for a state whose maximum rises; 0 where the state is still empty.
__device__ __forceinline__ float Rescale(float old_maximum, float new_maximum) {
  return old_maximum == kLowest ? 0 : exp2f(old_maximum - new_maximum);
}

// The score of a token for a query that sees the tokens before `limit`; `slope` is its head's.
__device__ __forceinline__ float ScoreOf(const AttentionArgs& args, float product, float slope,
                                         int token, int limit) {
  float score = product * args.scale;
  if (args.softcap != 0) score = args.softcap * tanhf(score * (1 / args.softcap));
  if (slope != 0) score += slope * static_cast<float>(token - limit + 1);
  return score * kLog2E;
}

__device__ __forceinline__ float SlopeOf(const AttentionArgs& args, int head) {
  return args.slopes == nullptr ? 0 : args.slopes[head];
}

// The first token that a query sees.
__device__ __forceinline__ int FirstSeen(const AttentionArgs& args, int limit) {
  return args.window == 0 ? 0 : max(0, limit - args.window);
}

// What weighted values are multiplied by at last.
__device__ __forceinline__ float Normalizer(const AttentionArgs& args, int head, float maximum,
                                            float sum) {
  if (args.sinks != nullptr) sum += exp2f(args.sinks[head] * kLog2E - maximum);
  return 1 / sum;
}

// Adds the softmax of one part of a context to that of what stands before it. One order and one
// rounding wherever parts are added, in memory or in registers, so that the bits are the same.
struct Merge {
  float kept, added;  // factors

  __device__ __forceinline__ Merge(float* maximum, float other) {
    const float larger = fmaxf(*maximum, other);
    kept = Rescale(*maximum, larger);
    added = Rescale(other, larger);
    *maximum = larger;
  }
  __device__ __forceinline__ float operator()(float own, float other) const {
    return __fmaf_rn(own, kept, __fmul_rn(other, added));
  }
};

struct Part {
  int begin, end;  // tokens
};

// Part `split` of `splits` of the tokens from `first` to `limit`, in whole tiles of `tile` tokens.
__device__ __forceinline__ Part PartOf(int first, int limit, int split, int splits, int tile) {
  const int tiles = (limit - first + tile - 1) / tile;
  const int size = (tiles + splits - 1) / splits * tile;
  const int begin = min(limit, first + split * size);
  return {begin, min(limit, begin + size)};
}

// What a block that takes one row computes: its part of the context, `span` tokens at a time, each
// on its own and then added to those before, as the reduction adds parts. By spans a part is one of
// them, or all one after the other. span 0: nothing, which nobody asks for.
struct SpanWork {
  Part part;
  int span;
};

// For a row that sees the tokens from `first` to `limit`.
__device__ __forceinline__ SpanWork SpanWorkOf(const AttentionArgs& args, int first, int limit,
                                               int tile) {
  if (!args.by_spans) return {PartOf(first, limit, blockIdx.z, args.splits, tile), limit};
  const int span = SpanOf(limit);
  if (args.splits == 1) return {{first, limit}, span};
  const int begin = static_cast<int>(blockIdx.z) * span, end = min(limit, begin + span);
  return {{max(first, begin), end}, max(first, begin) < end ? span : 0};
}

// The end of the span that holds a token.
__device__ __forceinline__ int SpanEnd(const SpanWork& work, int token) {
  return min(work.part.end, token - token % work.span + work.span);
}

// Where the state of a part is kept until all are combined; `row` counts the rows that are cut.
__device__ __forceinline__ float* PartialOf(const AttentionArgs& args, int row, int head,
                                            int split) {
  const int64_t index = (static_cast<int64_t>(row) * args.heads + head) * args.splits + split;
  return args.partials + index * (kStateFloats + args.cache.value_dim);
}

template <class T>
__device__ __forceinline__ T* OutputOf(const AttentionArgs& args, int row, int head) {
  return static_cast<T*>(args.out) +
         (static_cast<int64_t>(row) * args.heads + head) * args.cache.value_dim;
}

// The states that a block's warps left of one row, added in order. They lie `stride` floats apart.
template <int kWarps>
struct WarpFold {
  const SharedArray<float>& states;
  int stride;
  float maximum = kLowest, sum = 0, scales[kWarps];

  __device__ __forceinline__ WarpFold(const SharedArray<float>& of, int apart)
      : states(of), stride(apart) {
#pragma unroll
    for (int w = 0; w < kWarps; ++w) maximum = fmaxf(maximum, states[w * stride]);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      scales[w] = Rescale(states[w * stride], maximum);
      sum = __fmaf_rn(states[w * stride + 1], scales[w], sum);
    }
  }
  __device__ __forceinline__ float Value(int d) const {
    float value = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w)
      value = __fmaf_rn(states[w * stride + kStateFloats + d], scales[w], value);
    return value;
  }
};

// By a whole warp: folds the states of one row, and writes the result or, where contexts are cut,
// the state of this part.
template <int kWarps, class T>
__device__ __forceinline__ void FoldWarps(const AttentionArgs& args,
                                          const SharedArray<float>& states, int stride, int dim,
                                          int row, int head) {
  const int lane = threadIdx.x % kWarp;
  const WarpFold<kWarps> fold(states, stride);
  const float scale = Normalizer(args, head, fold.maximum, fold.sum);
  float* partial = args.splits > 1 ? PartialOf(args, blockIdx.x, head, blockIdx.z) : nullptr;
  if (partial != nullptr && lane == 0) {
    partial[0] = fold.maximum;
    partial[1] = fold.sum;
  }
  for (int d = lane; d < dim; d += kWarp) {
    const float value = fold.Value(d);
    if (partial != nullptr)
      partial[kStateFloats + d] = value;
    else
      OutputOf<T>(args, row, head)[d] = Rounded<T>(value * scale);
  }
}

}  // namespace octavo::cuda
