// Sums and maxima over warps and blocks. The order of every sum is fixed by the number of threads.
#pragma once

#include "platform.cuh"

namespace octavo::cuda {

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// The largest, or NaN if there is one.
struct LargerOrNan {
  __device__ float operator()(float a, float b) const { return a > b || a != a ? a : b; }
};

// The result is in every lane.
template <class T, class Operation>
__device__ __forceinline__ T ReduceWarp(T value, Operation operation) {
#pragma unroll
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
    value = operation(value, __shfl_xor_sync(kAllLanes, value, lanes));
  return value;
}

// The result is in every thread. `scratch` holds an element a warp, and may be used again at once.
template <class T, class Operation>
__device__ T ReduceBlock(T value, Operation operation, SharedArray<T> scratch) {
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int warps = blockDim.x / kWarp;
  value = ReduceWarp(value, operation);
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  T result = scratch[0];
  for (int other = 1; other < warps; ++other) result = operation(result, T(scratch[other]));
  __syncthreads();
  return result;
}

}  // namespace octavo::cuda
