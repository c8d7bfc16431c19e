// Matrix products on tensor cores: out = input × weightᵀ + bias for 16-bit elements, k a multiple
// of 8. A block computes 64 × 128 results, each of its four warps 32 × 64, from tiles that arrive
// by asynchronous copies while the ones before are multiplied.
#pragma once

#include "dispatch.h"
#include "launchers.h"
#include "tensor_core.cuh"

namespace octavo::cuda {
namespace tensor_linear {

constexpr int kRows = 64, kColumns = 128, kDepth = 32, kStages = 3, kThreads = 128;
constexpr int kStride = kDepth + 8;  // eight rows of a matrix lie in different banks
constexpr int kStageElements = (kRows + kColumns) * kStride;
constexpr int kWarpRows = 32, kWarpColumns = 64;

// Starts copies of `count` rows of a matrix of `rows` × k, from first_row and first_k on.
template <class T, int kCount>
__device__ __forceinline__ void CopyTile(const void* matrix, int first_row, int rows, int first_k,
                                         int k_count, SharedArray<T> to) {
  constexpr int kChunks = kDepth / kPackOf<T>;
#pragma unroll
  for (int i = threadIdx.x; i < kCount * kChunks; i += kThreads) {
    const int row = first_row + i / kChunks, k = first_k + i % kChunks * kPackOf<T>;
    const bool inside = row < rows && k < k_count;
    const T* from =
        static_cast<const T*>(matrix) + (inside ? static_cast<int64_t>(row) * k_count + k : 0);
    CopyAsync(to + (i / kChunks * kStride + i % kChunks * kPackOf<T>), from, inside);
  }
}

template <class T, class O>
__global__ void __launch_bounds__(kThreads) Kernel(LinearArgs args) {
  const auto shared = Shared<T>(0, kStages * kStageElements);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int first_row = blockIdx.y * kRows, first_column = blockIdx.x * kColumns;
  const int warp_row = warp % 2 * kWarpRows, warp_column = warp / 2 * kWarpColumns;
  const LaneTile left = LeftTile(lane), right = RightTile(lane);
  const int steps = (args.k + kDepth - 1) / kDepth;

  const auto copy = [&](int step) {
    if (step < steps) {
      const auto stage = shared + step % kStages * kStageElements;
      CopyTile<T, kRows>(args.input, first_row, args.rows, step * kDepth, args.k, stage);
      CopyTile<T, kColumns>(args.weight, first_column, args.n, step * kDepth, args.k,
                            stage + kRows * kStride);
    }
    CommitCopies();  // an empty group too: waits count groups
  };

  float sums[kWarpRows / 16][kWarpColumns / 8][4] = {};
#pragma unroll
  for (int stage = 0; stage < kStages - 1; ++stage) copy(stage);
  for (int step = 0; step < steps; ++step) {
    WaitForCopies<kStages - 2>();
    __syncthreads();  // all copies of the stage have come, and none reads the one to be overwritten
    copy(step + kStages - 1);
    const auto inputs = shared + step % kStages * kStageElements;
    const auto weights = inputs + kRows * kStride;
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      uint32_t a[kWarpRows / 16][4];
#pragma unroll
      for (int i = 0; i < kWarpRows / 16; ++i)
        LoadMatrix(a[i], inputs + ((warp_row + i * 16 + left.row) * kStride + k + left.column));
#pragma unroll
      for (int j = 0; j < kWarpColumns / 16; ++j) {
        uint32_t b[4];
        LoadMatrix(b, weights + ((warp_column + j * 16 + right.row) * kStride + k + right.column));
#pragma unroll
        for (int i = 0; i < kWarpRows / 16; ++i) {
          MultiplyAdd<T>(sums[i][2 * j], a[i], b);
          MultiplyAdd<T>(sums[i][2 * j + 1], a[i], b + 2);
        }
      }
    }
  }

#pragma unroll
  for (int i = 0; i < kWarpRows / 16; ++i) {
#pragma unroll
    for (int j = 0; j < kWarpColumns / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int row = first_row + warp_row + i * 16 + lane / 4 + e / 2 * 8;
        const int column = first_column + warp_column + j * 8 + lane % 4 * 2 + e % 2;
        if (row >= args.rows || column >= args.n) continue;
        const float bias = args.bias == nullptr ? 0 : args.bias[column];
        static_cast<O*>(args.out)[static_cast<int64_t>(row) * args.n + column] =
            Rounded<O>(sums[i][j][e] + bias);
      }
    }
  }
}

}  // namespace tensor_linear

template <class T, class O>
void LaunchTensorLinear(const LinearArgs& args, Stream stream) {
  using namespace tensor_linear;
  const Dim3 grid(CeilDiv(args.n, kColumns), CeilDiv(args.rows, kRows));
  Launch("linear, tensor cores", Kernel<T, O>, grid, kThreads, kStages * kStageElements * sizeof(T),
         stream, args);
}

}  // namespace octavo::cuda
