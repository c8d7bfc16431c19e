// Matrix products of any size and type: out = input × weightᵀ + bias, added up in float32. A warp a
// column for a few rows, which reads the weight once at the memory's speed; tiles for many.
#include "dispatch.h"
#include "launchers.h"
#include "linear_tensor.cuh"
#include "linear_tiled.cuh"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kFewRows = 4;

constexpr int kColumnsABlock = 4;

// kRows rows from blockIdx.y on; rows beyond the last are computed from it and not stored.
template <class T, class O, int kRows, int kCount>
__global__ void __launch_bounds__(kColumnsABlock* kWarp) FewRowsKernel(Mark mark, LinearArgs args) {
  Leave(mark);
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
    if (lane == 0 && first_row + r < args.rows) StoreLinear<O>(args, first_row + r, column, sum);
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
    if (args.k % kPackOf<T> == 0) return LaunchTensorLinear<T, O, false>(args, stream);
  }
  LaunchTiledLinear<T, O, false>(args, stream);
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void Linear(const LinearArgs& args, Stream stream) {
  if (args.codes.bits != 0) return LinearOfCodes(args, stream);
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    if (args.out_type == args.type)
      LaunchLinear<T, T>(args, stream);
    else
      LaunchLinear<T, float>(args, stream);
  });
}

}  // namespace octavo::cuda
