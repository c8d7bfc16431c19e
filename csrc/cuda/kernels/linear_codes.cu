// Products with matrices of codes. Each code becomes a number where it is used: in registers for a
// few rows, on its way to shared memory for many.
#include "codes.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "linear_tensor.cuh"
#include "linear_tiled.cuh"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kFewRows = 4, kColumnsABlock = 4;

// A warp a column, kRows rows from blockIdx.y on; rows beyond the last are computed from it.
template <class T, class O, int kRows, bool kAligned>
__global__ void __launch_bounds__(kColumnsABlock* kWarp) FewRowsKernel(Mark mark, LinearArgs args) {
  Leave(mark);
  const int lane = threadIdx.x % kWarp, first_row = blockIdx.y * kRows;
  const int column = blockIdx.x * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  float sums[kRows] = {};
#pragma unroll 2
  for (int k = lane * kCodes; k < args.k; k += kWarp * kCodes) {
    float w[kCodes];
    Decode(args.codes, column, k, args.k, w);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t row = first_row + r < args.rows ? first_row + r : args.rows - 1;
      float x[kCodes];
      LoadInputs<T, kAligned>(static_cast<const T*>(args.input) + row * args.k + k, args.k - k, x);
#pragma unroll
      for (int j = 0; j < kCodes; ++j) sums[r] += x[j] * w[j];
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
    Launch("linear of codes, few rows", kernel, grid, kColumnsABlock * kWarp, 0, stream, args);
  };
  if (args.k % kCodes != 0) return launch(FewRowsKernel<T, O, kFewRows, false>);
  args.rows == 1 ? launch(FewRowsKernel<T, O, 1, true>)
                 : launch(FewRowsKernel<T, O, kFewRows, true>);
}

template <class T, class O>
void LaunchCodes(const LinearArgs& args, Stream stream) {
  if (args.rows <= kFewRows && !args.one_path) return LaunchFewRows<T, O>(args, stream);
  if constexpr (sizeof(T) == 2) {
    if (args.k % kPackOf<T> == 0) return LaunchTensorLinear<T, O, true>(args, stream);
  }
  LaunchTiledLinear<T, O, true>(args, stream);
}

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) EmbedKernel(Mark mark, EmbedArgs args) {
  Leave(mark);
  const int row = blockIdx.x;
  const bool padding = row >= args.step->tokens;
  int64_t id = padding            ? 0
               : args.by_position ? args.step->positions[row] + args.position_offset
                                  : args.step->ids[row];
  if (id < 0) id = args.last_ids[-1 - id];
  const float* given =
      id < args.vocabulary
          ? nullptr
          : args.step->embeddings + (id - args.vocabulary) * args.step->embedding_columns;
  T* to = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.cols;
  for (int c = threadIdx.x; c < args.cols; c += kThreads) {
    const int column = args.codes.order == nullptr ? c : args.codes.order[c];
    const float x = given == nullptr ? DecodeOne(args.codes, id, c) : given[column];
    to[column] = Rounded<T>(x * args.scale);
  }
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void LinearOfCodes(const LinearArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    if (args.out_type == args.type)
      LaunchCodes<T, T>(args, stream);
    else
      LaunchCodes<T, float>(args, stream);
  });
}

void EmbedCodes(const EmbedArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("embed codes", EmbedKernel<T>, args.rows, kThreads, 0, stream, args);
  });
}

}  // namespace octavo::cuda
