// A column of a matrix, of numbers or of codes, that a warp multiplies by a few rows: each weight
// is read once, at the memory's speed. Lanes take kEach neighbouring elements at a time.
#pragma once

#include "codes.cuh"
#include "launchers.h"
#include "warp.cuh"

namespace octavo::cuda {

constexpr int kColumnsABlock = 4;

template <class T, int kCount>
struct NumberColumn {
  using Element = T;
  static constexpr int kEach = kCount, kUnrolled = 4;
  const T* numbers;

  __device__ NumberColumn(const LinearArgs& args, int column)
      : NumberColumn(args.weight, column, args.k) {}
  __device__ NumberColumn(const ExpertLinearArgs& args, int expert, int column)
      : NumberColumn(args.weights[expert], column, args.k) {}
  __device__ NumberColumn(const void* matrix, int column, int k)
      : numbers(static_cast<const T*>(matrix) + static_cast<int64_t>(column) * k) {}

  __device__ __forceinline__ void Load(int k, float (&to)[kEach]) const {
    LoadInputs(numbers, k, to);
  }
  __device__ __forceinline__ void LoadInputs(const T* input, int k, float (&to)[kEach]) const {
    const auto pack = LoadPack<kEach>(input + k);
#pragma unroll
    for (int j = 0; j < kEach; ++j) to[j] = ToFloat(pack.at[j]);
  }
};

// kAligned: rows of inputs are a multiple of kCodes elements.
template <class T, bool kAligned>
struct CodeColumn {
  using Element = T;
  static constexpr int kEach = kCodes, kUnrolled = 2;
  CodesView codes;
  int column, count;

  __device__ CodeColumn(const LinearArgs& args, int of)
      : codes(args.codes), column(of), count(args.k) {}
  __device__ CodeColumn(const ExpertLinearArgs& args, int expert, int of)
      : codes(args.codes[expert]), column(of), count(args.k) {}

  __device__ __forceinline__ void Load(int k, float (&to)[kEach]) const {
    Decode(codes, column, k, count, to);
  }
  __device__ __forceinline__ void LoadInputs(const T* input, int k, float (&to)[kEach]) const {
    cuda::LoadInputs<T, kAligned>(input + k, count - k, to);
  }
};

// The column's products with rows of `count` elements, in every lane.
template <class Column, int kRows>
__device__ __forceinline__ void Multiply(const Column& column, int count,
                                         const typename Column::Element* const (&inputs)[kRows],
                                         float (&sums)[kRows]) {
  constexpr int kEach = Column::kEach;
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int r = 0; r < kRows; ++r) sums[r] = 0;
#pragma unroll Column::kUnrolled
  for (int k = lane * kEach; k < count; k += kWarp * kEach) {
    float w[kEach];
    column.Load(k, w);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float x[kEach];
      column.LoadInputs(inputs[r], k, x);
#pragma unroll
      for (int j = 0; j < kEach; ++j) sums[r] += x[j] * w[j];
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) sums[r] = ReduceWarp(sums[r], Add());
}

template <class T>
__device__ __forceinline__ void StoreLinear(const LinearArgs& args, int64_t row, int column,
                                            float sum) {
  if (args.bias != nullptr) sum += args.bias[column];
  StoreElement<T>(sum, args.out_type == Type::kFloat32, args.out, row * args.n + column);
}

}  // namespace octavo::cuda
