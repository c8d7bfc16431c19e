// Products of a few rows: a warp a column of the matrix.
#pragma once

#include "dispatch.h"
#include "matrix_column.cuh"

namespace octavo::cuda {

constexpr int kFewRows = 4;

// kRows rows from blockIdx.y on; rows beyond the last are computed from it and not stored.
template <class Column, int kRows>
__global__ void __launch_bounds__(kColumnsABlock* kWarp) FewRowsKernel(Mark mark, LinearArgs args) {
  Leave(mark);
  using T = typename Column::Element;
  const int lane = threadIdx.x % kWarp, first_row = blockIdx.y * kRows;
  const int column = blockIdx.x * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  const T* inputs[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t row = first_row + r < args.rows ? first_row + r : args.rows - 1;
    inputs[r] = static_cast<const T*>(args.input) + row * args.k;
  }
  float sums[kRows];
  Multiply(Column(args, column), args.k, inputs, sums);
#pragma unroll
  for (int r = 0; r < kRows; ++r)
    if (lane == 0 && first_row + r < args.rows)
      StoreLinear<T>(args, first_row + r, column, sums[r]);
}

// `Whole` is the column where rows are whole packs, `Odd` where they are not.
template <class Whole, class Odd>
void LaunchFewRows(const LinearArgs& args, Stream stream) {
  const Dim3 grid(CeilDiv(args.n, kColumnsABlock), CeilDiv(args.rows, kFewRows));
  const auto launch = [&](auto kernel) {
    Launch("linear, few rows", kernel, grid, kColumnsABlock * kWarp, 0, stream, args);
  };
  if (args.k % Whole::kEach != 0) return launch(FewRowsKernel<Odd, kFewRows>);
  args.rows == 1 ? launch(FewRowsKernel<Whole, 1>) : launch(FewRowsKernel<Whole, kFewRows>);
}

}  // namespace octavo::cuda
