// Matrix products in float32, by tiles: of any size and type.
#pragma once

#include "codes.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "matrix_column.cuh"
#include "platform.cuh"

namespace octavo::cuda {

namespace tiled_linear {

constexpr int kTile = 64, kDepth = 16, kEach = 4;  // each of 16 × 16 threads computes 4 × 4 results

// Element (row, k) of a tile lies at [k][row]; the odd stride spreads the writes over the banks.
template <class T>
__device__ __forceinline__ void LoadTile(const void* matrix, int first_row, int rows, int first_k,
                                         int k_count, SharedArray<float> tile) {
  for (int i = threadIdx.x; i < kTile * kDepth; i += blockDim.x) {
    const int row = first_row + i / kDepth, k = first_k + i % kDepth;
    const bool inside = row < rows && k < k_count;
    const T* element = static_cast<const T*>(matrix) + static_cast<int64_t>(row) * k_count + k;
    tile[i % kDepth * (kTile + 1) + i / kDepth] = inside ? ToFloat(*element) : 0;
  }
}

__device__ __forceinline__ void LoadCodes(const CodesView& codes, int first_row, int rows,
                                          int first_k, int k_count, SharedArray<float> tile) {
  for (int i = threadIdx.x; i < kTile * kDepth; i += blockDim.x) {
    const int row = first_row + i / kDepth, k = first_k + i % kDepth;
    const bool inside = row < rows && k < k_count;
    tile[i % kDepth * (kTile + 1) + i / kDepth] = inside ? DecodeOne(codes, row, k) : 0;
  }
}

// Left to itself the compiler makes room for more blocks than two, and spills on sm_100.
template <class T, bool kCoded>
__global__ void __launch_bounds__(256, 2) Kernel(Mark mark, LinearArgs args) {
  Leave(mark);
  constexpr int kFloats = kDepth * (kTile + 1);
  const auto inputs = Shared<float>(0, kFloats);
  const auto weights = Shared<float>(kFloats * sizeof(float), kFloats);
  const int first_row = blockIdx.y * kTile, first_column = blockIdx.x * kTile;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  float sums[kEach][kEach] = {};
  for (int k = 0; k < args.k; k += kDepth) {
    LoadTile<T>(args.input, first_row, args.rows, k, args.k, inputs);
    if constexpr (kCoded)
      LoadCodes(args.codes, first_column, args.n, k, args.k, weights);
    else
      LoadTile<T>(args.weight, first_column, args.n, k, args.k, weights);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      float a[kEach], b[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) {
        a[i] = inputs[d * (kTile + 1) + y + 16 * i];
        b[i] = weights[d * (kTile + 1) + x + 16 * i];
      }
#pragma unroll
      for (int i = 0; i < kEach; ++i)
#pragma unroll
        for (int j = 0; j < kEach; ++j) sums[i][j] += a[i] * b[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < kEach; ++i) {
    for (int j = 0; j < kEach; ++j) {
      const int row = first_row + y + 16 * i, column = first_column + x + 16 * j;
      if (row < args.rows && column < args.n) StoreLinear<T>(args, row, column, sums[i][j]);
    }
  }
}

}  // namespace tiled_linear

template <class T, bool kCoded>
void LaunchTiledLinear(const LinearArgs& args, Stream stream) {
  using namespace tiled_linear;
  const Dim3 grid(CeilDiv(args.n, kTile), CeilDiv(args.rows, kTile));
  constexpr size_t kShared = 2 * kDepth * (kTile + 1) * sizeof(float);
  Launch("linear, tiled", Kernel<T, kCoded>, grid, 256, kShared, stream, args);
}

}  // namespace octavo::cuda
