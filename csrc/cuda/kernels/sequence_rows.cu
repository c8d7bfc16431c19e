// What looks at several rows of a sequence: short convolutions with their states, and pooling.
#include "cache.cuh"
#include "dispatch.h"
#include "launchers.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 128;

__device__ __forceinline__ float* StateOf(const ShortConvArgs& args, int sequence) {
  const int32_t block = TableOf(*args.step, args.cache, sequence)[0];
  return reinterpret_cast<float*>(args.cache.data + block * args.cache.block_bytes);
}

// u of a row of a sequence's step, or of a row before it, which the state keeps.
template <class T>
__device__ __forceinline__ float ProductAt(const ShortConvArgs& args, const SequenceRow& sequence,
                                           const float* state, int row, int column) {
  if (row >= 0) {
    const T* input = static_cast<const T*>(args.input) +
                     static_cast<int64_t>(sequence.first_row + row) * 3 * args.cols;
    return ToFloat(input[column]) * ToFloat(input[2 * args.cols + column]);
  }
  if (sequence.context_length == sequence.row_count) return 0;  // before its first token
  return state[(row + args.width - 1) * args.cols + column];
}

template <class T>
__global__ void __launch_bounds__(kThreads) ShortConvKernel(Mark mark, ShortConvArgs args) {
  Leave(mark);
  const int row = blockIdx.x, column = blockIdx.y * kThreads + threadIdx.x;
  if (row >= args.step->tokens || column >= args.cols) return;
  const int s = args.step->sequence_of_row[row];
  const SequenceRow& sequence = args.step->sequence_rows[s];
  const float* state = StateOf(args, s);
  const float* weight = args.weight + static_cast<int64_t>(column) * args.width;
  float sum = args.bias == nullptr ? 0 : args.bias[column];
  for (int k = 0; k < args.width; ++k) {
    const int at = row - sequence.first_row - args.width + 1 + k;
    sum += weight[k] * ProductAt<T>(args, sequence, state, at, column);
  }
  const int64_t cols = args.cols;
  const float gate = ToFloat(static_cast<const T*>(args.input)[(row * 3 + 1) * cols + column]);
  static_cast<T*>(args.out)[row * cols + column] = Rounded<T>(gate * sum);
}

// Once all rows were computed: the sequences' new states. Each number is read before it is written.
template <class T>
__global__ void __launch_bounds__(kThreads) KeepStateKernel(Mark mark, ShortConvArgs args) {
  Leave(mark);
  const int s = blockIdx.x, column = blockIdx.y * kThreads + threadIdx.x;
  if (s >= args.step->sequences || column >= args.cols) return;
  const SequenceRow& sequence = args.step->sequence_rows[s];
  float* state = StateOf(args, s);
  for (int k = 0; k + 1 < args.width; ++k)
    state[k * args.cols + column] =
        ProductAt<T>(args, sequence, state, sequence.row_count - args.width + 1 + k, column);
}

template <class T>
__global__ void __launch_bounds__(kThreads) PoolKernel(Mark mark, PoolArgs args) {
  Leave(mark);
  const int p = blockIdx.x, column = blockIdx.y * kThreads + threadIdx.x;
  if (column >= args.cols) return;
  const PoolRow pool = args.step->pool_rows[p];
  const T* rows = static_cast<const T*>(args.input) + column;
  const int64_t cols = args.cols;
  int row = pool.first_row;
  const int end = row + pool.row_count;
  float sum =
      pool.carried >= 0 ? args.step->carried[pool.carried + column] : ToFloat(rows[cols * row++]);
  for (; row < end; ++row) sum += ToFloat(rows[cols * row]);
  args.out[p * cols + column] = sum;
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void ShortConv(const ShortConvArgs& args, Stream stream) {
  const unsigned chunks = CeilDiv(args.cols, kThreads);
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("shortConv", ShortConvKernel<T>, Dim3(args.rows, chunks), kThreads, 0, stream, args);
    Launch("shortConv, states", KeepStateKernel<T>, Dim3(args.sequences, chunks), kThreads, 0,
           stream, args);
  });
}

void Pool(const PoolArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("pool", PoolKernel<T>, Dim3(args.pools, CeilDiv(args.cols, kThreads)), kThreads, 0,
           stream, args);
  });
}

}  // namespace octavo::cuda
