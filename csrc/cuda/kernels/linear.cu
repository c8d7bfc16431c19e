// Matrix products of any size and type: out = input × weightᵀ + bias, added up in float32. A warp a
// column for a few rows, which reads the weight once at the memory's speed; tiles for many.
#include "dispatch.h"
#include "launchers.h"
#include "linear_tensor.cuh"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kFewRows = 4;

template <class O>
__device__ __forceinline__ void Store(const LinearArgs& args, int64_t row, int column, float sum) {
  if (args.bias != nullptr) sum += args.bias[column];
  static_cast<O*>(args.out)[row * args.n + column] = Rounded<O>(sum);
}

constexpr int kColumnsABlock = 4;

// kRows rows from blockIdx.y on; rows beyond the last are computed from it and not stored.
template <class T, class O, int kRows, int kCount>
__global__ void __launch_bounds__(kColumnsABlock* kWarp) FewRowsKernel(LinearArgs args) {
  const int lane = threadIdx.x % kWarp, first_row = blockIdx.y * kRows;
  const int column = blockIdx.x * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  const T* weight = static_cast<const T*>(args.weight) + static_cast<int64_t>(column) * args.k;
  const T* input[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = first_row + r < args.rows ? first_row + r : args.rows - 1;
    input[r] = static_cast<const T*>(args.input) + row * args.k;
  }
  float sums[kRows] = {};
#pragma unroll 4
  for (int k = lane * kCount; k < args.k; k += kWarp * kCount) {
    const auto w = LoadPack<kCount>(weight + k);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const auto x = LoadPack<kCount>(input[r] + k);
#pragma unroll
      for (int j = 0; j < kCount; ++j) sums[r] += ToFloat(x.at[j]) * ToFloat(w.at[j]);
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float sum = ReduceWarp(sums[r], Add());
    if (lane == 0 && first_row + r < args.rows) Store<O>(args, first_row + r, column, sum);
  }
}

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

// Left to itself the compiler makes room for more blocks than two, and spills on sm_100.
template <class T, class O>
__global__ void __launch_bounds__(256, 2) TiledKernel(LinearArgs args) {
  constexpr int kFloats = kDepth * (kTile + 1);
  const auto inputs = Shared<float>(0, kFloats);
  const auto weights = Shared<float>(kFloats * sizeof(float), kFloats);
  const int first_row = blockIdx.y * kTile, first_column = blockIdx.x * kTile;
  const int x = threadIdx.x % 16, y = threadIdx.x / 16;
  float sums[kEach][kEach] = {};
  for (int k = 0; k < args.k; k += kDepth) {
    LoadTile<T>(args.input, first_row, args.rows, k, args.k, inputs);
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
      if (row < args.rows && column < args.n) Store<O>(args, row, column, sums[i][j]);
    }
  }
}

template <class T, class O>
void LaunchFewRows(const LinearArgs& args, Stream stream) {
  const Dim3 grid(CeilDiv(args.n, kColumnsABlock), CeilDiv(args.rows, kFewRows));
  const auto launch = [&](auto kernel) {
    Launch("linear, few rows", kernel, grid, kColumnsABlock * kWarp, 0, stream, args);
  };
  constexpr int kPack = kPackOf<T>;
  if (args.k % kPack != 0) return launch(FewRowsKernel<T, O, kFewRows, 1>);
  args.rows == 1 ? launch(FewRowsKernel<T, O, 1, kPack>)
                 : launch(FewRowsKernel<T, O, kFewRows, kPack>);
}

template <class T, class O>
void LaunchLinear(const LinearArgs& args, Stream stream) {
  if (args.rows <= kFewRows && !args.one_path) return LaunchFewRows<T, O>(args, stream);
  if constexpr (sizeof(T) == 2) {
    if (args.k % kPackOf<T> == 0) return LaunchTensorLinear<T, O>(args, stream);
  }
  const Dim3 grid(CeilDiv(args.n, kTile), CeilDiv(args.rows, kTile));
  constexpr size_t kShared = 2 * kDepth * (kTile + 1) * sizeof(float);
  Launch("linear, tiled", TiledKernel<T, O>, grid, 256, kShared, stream, args);
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void Linear(const LinearArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    if (args.out_type == args.type)
      LaunchLinear<T, T>(args, stream);
    else
      LaunchLinear<T, float>(args, stream);
  });
}

}  // namespace octavo::cuda
