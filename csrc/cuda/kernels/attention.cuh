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

struct Part {
  int begin, end;  // tokens
};

// Part `split` of `splits` of the first `limit` tokens, in whole tiles of `tile` tokens.
__device__ __forceinline__ Part PartOf(int limit, int split, int splits, int tile) {
  const int tiles = (limit + tile - 1) / tile;
  const int size = (tiles + splits - 1) / splits * tile;
  const int begin = min(limit, split * size);
  return {begin, min(limit, begin + size)};
}

// Where the state of a part is kept until all are combined; `row` counts the rows that are cut.
__device__ __forceinline__ float* PartialOf(const AttentionArgs& args, int row, int head,
                                            int split) {
  const int64_t index = (static_cast<int64_t>(row) * args.heads + head) * args.splits + split;
  return args.partials + index * (kStateFloats + args.cache.head_dim);
}

template <class T>
__device__ __forceinline__ T* OutputOf(const AttentionArgs& args, int row, int head) {
  return static_cast<T*>(args.out) +
         (static_cast<int64_t>(row) * args.heads + head) * args.cache.head_dim;
}

}  // namespace octavo::cuda
