// What the kernels of adapters have in common: which rows and which matrices a block is for, and
// the product that one kernel leaves in memory for the next one, in parts.
#pragma once

#include "dispatch.h"
#include "launchers.h"
#include "platform.cuh"

namespace octavo::cuda {

constexpr int kAdaptThreads = 128;
constexpr int kExpandedColumns = 128;  // of a block

// Sums over the columns of an input are cut by their number alone, so that those of a row are
// always added in one order: into at most kMostShrinkSpans, of whole steps of all warps of a block.
constexpr int kMostShrinkSpans = 8, kLeastShrinkSpan = 512;

__host__ __device__ __forceinline__ int ShrinkSpan(const AdaptArgs& args) {
  const int even = (args.k + kMostShrinkSpans - 1) / kMostShrinkSpans;
  const int whole = (even + kAdaptThreads - 1) / kAdaptThreads * kAdaptThreads;
  return whole < kLeastShrinkSpan ? kLeastShrinkSpan : whole;
}
// Whether the input's products are on tensor cores; else they are not cut.
__host__ __device__ __forceinline__ bool ShrinksOnTensorCores(const AdaptArgs& args) {
  return args.type != Type::kFloat32 && args.k % 8 == 0;
}
__host__ __device__ __forceinline__ int ShrinkSpans(const AdaptArgs& args) {
  return ShrinksOnTensorCores(args) ? (args.k + ShrinkSpan(args) - 1) / ShrinkSpan(args) : 1;
}

// The rows of a block of blockIdx.x; none where the launch has more runs than the step.
__device__ __forceinline__ AdapterRun RunOf(const AdaptArgs& args) {
  const AdaptedRows& rows = args.samples ? args.step->adapted_samples : args.step->adapted_tokens;
  const int run = blockIdx.x;
  return run < rows.count ? rows.runs[run] : AdapterRun{0, 0, 0};
}

__device__ __forceinline__ const AdaptedPart* PartsOf(const AdaptArgs& args, int slot) {
  return args.table + static_cast<int64_t>(slot) * args.parts;
}

// How many columns input × aᵀ has, those of all parts.
__device__ __forceinline__ int ShrunkColumns(const AdaptArgs& args, int slot) {
  const AdaptedPart* parts = PartsOf(args, slot);
  int columns = 0;
  for (int p = 0; p < args.parts; ++p) columns += parts[p].rank;
  return columns;
}

// The place of a column of a row's input × aᵀ, of one span.
__device__ __forceinline__ int64_t ShrunkAt(const AdaptArgs& args, int span, int row, int column) {
  return (static_cast<int64_t>(span) * args.rows + row) * args.parts * args.rank + column;
}

template <class T>
__device__ __forceinline__ const T* MatrixA(const AdaptArgs& args, int slot) {
  return static_cast<const T*>(args.a) +
         static_cast<int64_t>(slot) * args.parts * args.rank * args.k;
}

// What a block of blockIdx.y adds to: columns of a part, from `first` on of its own.
template <class T>
struct Expanded {
  AdaptedPart part;
  const T* b;
  int first;
};
// None where the part's rank is 0.
template <class T>
__device__ __forceinline__ Expanded<T> ExpandedOf(const AdaptArgs& args, int slot) {
  const AdaptedPart* parts = PartsOf(args, slot);
  int first = blockIdx.y * kExpandedColumns;
  for (int p = 0; p < args.parts; ++p) {
    const AdaptedPart part = parts[p];
    if (first < part.rows) {
      const T* b = static_cast<const T*>(args.b) + static_cast<int64_t>(slot) * args.n * args.rank;
      return {part, b + part.b, first};
    }
    first -= (part.rows + kExpandedColumns - 1) / kExpandedColumns * kExpandedColumns;
  }
  return {};
}
// Blocks that serve every adapter.
inline unsigned ExpandBlocks(const AdaptArgs& args) {
  return CeilDiv(args.n, kExpandedColumns) + args.parts - 1;
}

// Adds up the spans of a part's shrunk columns, of all rows of a run: [kAdaptedRows][stride]. Rows
// beyond the run's are zeros.
template <class T>
__device__ __forceinline__ void LoadShrunk(const AdaptArgs& args, const AdapterRun& run,
                                           const AdaptedPart& part, int stride,
                                           SharedArray<T> shrunk) {
  const int spans = ShrinkSpans(args);
  for (int i = threadIdx.x; i < kAdaptedRows * part.rank; i += kAdaptThreads) {
    const int row = i / part.rank, column = i % part.rank;
    float sum = 0;
    if (row < run.rows)
      for (int span = 0; span < spans; ++span)
        sum += args.shrunk[ShrunkAt(args, span, run.first_row + row, part.shrunk + column)];
    shrunk[row * stride + column] = Rounded<T>(sum);
  }
}

}  // namespace octavo::cuda
