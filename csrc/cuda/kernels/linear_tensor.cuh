// Matrix products on tensor cores: out = input × weightᵀ + bias for 16-bit elements, k a multiple
// of 8. A block computes 64 × 128 results, each of its four warps 32 × 64, from tiles that arrive
// by asynchronous copies while the ones before are multiplied.
#pragma once

#include "codes.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "tensor_core.cuh"

namespace octavo::cuda {
namespace tensor_linear {

constexpr int kRows = 64, kColumns = 128, kDepth = 32, kStages = 3, kThreads = 128;
constexpr int kStride = kDepth + 8;  // eight rows of a matrix lie in different banks
constexpr int kStageElements = (kRows + kColumns) * kStride;
constexpr int kWarpRows = 32, kWarpColumns = 64;

// What a block multiplies: rows from first_row on, of those before `end`, by a matrix. Other kinds
// of arguments have operands of their own, and tell otherwise where rows lie.
struct RowOperands {
  const LinearArgs& args;
  const void* weight;
  const CodesView& codes;
  const float* bias;
  int first_row, end;
  bool wide;  // results are float32

  // Elements of the input and of the output at which a row begins.
  __device__ __forceinline__ int64_t InputAt(int row) const {
    return static_cast<int64_t>(row) * args.k;
  }
  __device__ __forceinline__ int64_t OutputAt(int row) const {
    return static_cast<int64_t>(row) * args.n;
  }
};
__device__ __forceinline__ RowOperands OperandsOf(const LinearArgs& args) {
  const int first_row = static_cast<int>(blockIdx.y) * kRows;
  const bool wide = args.out_type == Type::kFloat32;
  return {args, args.weight, args.codes, args.bias, first_row, args.rows, wide};
}

// Starts copies of `count` rows of a matrix with `columns`, from first_row and first_k on. Row i
// begins at element at(i).
template <class T, int kCount, class At>
__device__ __forceinline__ void CopyTile(const void* matrix, int first_row, int end, int first_k,
                                         int columns, SharedArray<T> to, const At& at) {
  constexpr int kChunks = kDepth / kPackOf<T>;
#pragma unroll
  for (int i = threadIdx.x; i < kCount * kChunks; i += kThreads) {
    const int row = first_row + i / kChunks, k = first_k + i % kChunks * kPackOf<T>;
    const bool inside = row < end && k < columns;
    const T* from = static_cast<const T*>(matrix) + (inside ? at(row) + k : 0);
    CopyAsync(to + (i / kChunks * kStride + i % kChunks * kPackOf<T>), from, inside);
  }
}

// Codes of kDepth columns of a thread's own row, from memory to registers and, as numbers of T, to
// shared memory. In between there is time for something else.
static_assert(kColumns == kThreads, "a thread a row of the weight's tile");
struct RawCodes {
  Pack<uint8_t, 16> bytes[kDepth / 16];
};
__device__ __forceinline__ RawCodes LoadCodes(const CodesView& view, int row, int rows, int k,
                                              int k_count) {
  RawCodes raw;
  const uint8_t* from = CodesOf(view, row < rows ? row : 0, k < k_count ? k : 0);
  raw.bytes[0] = LoadPack<16>(from);
  if (view.bits == 8) raw.bytes[1] = LoadPack<16>(from + 16);
  return raw;
}
template <class T>
__device__ __forceinline__ void StoreCodes(const CodesView& view, const RawCodes& raw, int row,
                                           int rows, int k, int k_count,
                                           const SharedArray<Pack<T, kCodes>>& to) {
  const bool eight = view.bits == 8;
#pragma unroll
  for (int part = 0; part < kDepth / kCodes; ++part, k += kCodes) {
    const bool inside = row < rows && k < k_count;
    const CodeScale scale = inside ? ScaleOf(view, row, k) : CodeScale{0, 0};
    Pack<T, kCodes> numbers;
#pragma unroll
    for (int j = 0; j < kCodes; ++j) {
      const int at = part * kCodes + j;
      const unsigned wide = raw.bytes[at / 16].at[at % 16];
      const unsigned narrow = raw.bytes[0].at[at / 2] >> (at % 2 * 4) & 15u;
      const float number = NumberOf(view, scale, eight ? wide : narrow);
      numbers.at[j] = Rounded<T>(inside ? number : 0);
    }
    to[part] = numbers;
  }
}

template <class T, bool kCoded, class Args>
__global__ void __launch_bounds__(kThreads) Kernel(Mark mark, Args args) {
  Leave(mark);
  const auto shared = Shared<T>(0, kStages * kStageElements);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const auto operands = OperandsOf(args);
  const int first_row = operands.first_row, first_column = blockIdx.x * kColumns;
  if (first_row >= operands.end) return;
  const int warp_row = warp % 2 * kWarpRows, warp_column = warp / 2 * kWarpColumns;
  const LaneTile left = LeftTile(lane), right = RightTile(lane);
  const int steps = (args.k + kDepth - 1) / kDepth;

  const auto copy = [&](int step) {
    if (step < steps) {
      const auto stage = shared + step % kStages * kStageElements;
      const int k = step * kDepth;
      CopyTile<T, kRows>(args.input, first_row, operands.end, k, args.k, stage,
                         [&](int row) { return operands.InputAt(row); });
      if constexpr (!kCoded)
        CopyTile<T, kColumns>(operands.weight, first_column, args.n, k, args.k,
                              stage + kRows * kStride,
                              [&](int row) { return static_cast<int64_t>(row) * args.k; });
    }
    CommitCopies();  // an empty group too: waits count groups
  };

  const int own_row = first_column + threadIdx.x;
  const auto store = [&](int step, const RawCodes& raw) {
    constexpr int kAt = kRows * kStride * sizeof(T);
    const auto packs = Shared<Pack<T, kCodes>>(step % kStages * kStageElements * sizeof(T) + kAt,
                                               kColumns * kStride / kCodes);
    StoreCodes<T>(operands.codes, raw, own_row, args.n, step * kDepth, args.k,
                  packs + threadIdx.x * (kStride / kCodes));
  };

  float sums[kWarpRows / 16][kWarpColumns / 8][4] = {};
#pragma unroll 1  // once a block
  for (int stage = 0; stage < kStages - 1; ++stage) {
    copy(stage);
    if constexpr (kCoded)
      store(stage, LoadCodes(operands.codes, own_row, args.n, stage * kDepth, args.k));
  }
  for (int step = 0; step < steps; ++step) {
    WaitForCopies<kStages - 2>();
    __syncthreads();  // all copies of the stage have come, and none reads the one to be overwritten
    copy(step + kStages - 1);
    RawCodes raw;
    const int ahead = (step + kStages - 1) * kDepth;
    if constexpr (kCoded) raw = LoadCodes(operands.codes, own_row, args.n, ahead, args.k);
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
    if constexpr (kCoded) store(step + kStages - 1, raw);
  }

#pragma unroll
  for (int i = 0; i < kWarpRows / 16; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = first_row + warp_row + i * 16 + lane / 4 + half * 8;
      if (row >= operands.end) continue;
      const int64_t at = operands.OutputAt(row);
#pragma unroll
      for (int j = 0; j < kWarpColumns / 8; ++j) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int column = first_column + warp_column + j * 8 + lane % 4 * 2 + e;
          if (column >= args.n) continue;
          const float bias = operands.bias == nullptr ? 0 : operands.bias[column];
          StoreElement<T>(sums[i][j][half * 2 + e] + bias, operands.wide, args.out, at + column);
        }
      }
    }
  }
}

}  // namespace tensor_linear

template <class T, bool kCoded>
void LaunchTensorLinear(const LinearArgs& args, Stream stream) {
  using namespace tensor_linear;
  const Dim3 grid(CeilDiv(args.n, kColumns), CeilDiv(args.rows, kRows));
  Launch("linear, tensor cores", Kernel<T, kCoded, LinearArgs>, grid, kThreads,
         kStages * kStageElements * sizeof(T), stream, args);
}

}  // namespace octavo::cuda
