// Matrices that are kept as codes: number = scale × code + minimum, a scale and a minimum a group
// of a row's columns; with levels a code is the index of its factor.
#pragma once

#include "launchers.h"
#include "platform.cuh"

namespace octavo::cuda {

constexpr int kCodes = 8;  // that are read at once: all of one group

struct CodeScale {
  float scale, minimum;
};

__device__ __forceinline__ CodeScale ScaleOf(const CodesView& view, int64_t row, int k) {
  const int64_t at = row * view.groups + k / view.group;
  if (view.half) {
    const auto pair = LoadPack<2>(static_cast<const Float16*>(view.scales) + 2 * at);
    return {ToFloat(pair.at[0]), ToFloat(pair.at[1])};
  }
  const auto pair = LoadPack<2>(static_cast<const float*>(view.scales) + 2 * at);
  return {pair.at[0], pair.at[1]};
}

__device__ __forceinline__ float NumberOf(const CodesView& view, const CodeScale& scale,
                                          unsigned code) {
  const float factor = view.levels == nullptr ? static_cast<float>(code) : view.levels[code];
  return scale.scale * factor + scale.minimum;
}

// Codes of neighbouring columns: code j of `bytes`, which begin with the first.
__device__ __forceinline__ unsigned CodeOf(const CodesView& view, const uint8_t* bytes, int j) {
  return view.bits == 8 ? bytes[j] : bytes[j / 2] >> (j % 2 * 4) & 15u;
}

__device__ __forceinline__ const uint8_t* CodesOf(const CodesView& view, int64_t row, int k) {
  return view.codes + row * view.row_bytes + (view.bits == 8 ? k : k / 2);
}

// kCodes numbers from column k on, a multiple of kCodes; zeros behind the last of `cols`.
__device__ __forceinline__ void Decode(const CodesView& view, int64_t row, int k, int cols,
                                       float (&to)[kCodes]) {
  const CodeScale scale = ScaleOf(view, row, k);
  const uint8_t* from = CodesOf(view, row, k);
  Pack<uint8_t, kCodes> bytes;
  if (view.bits == 8) {
    bytes = LoadPack<kCodes>(from);
  } else {
    const auto half = LoadPack<kCodes / 2>(from);
#pragma unroll
    for (int j = 0; j < kCodes / 2; ++j) bytes.at[j] = half.at[j];
  }
#pragma unroll
  for (int j = 0; j < kCodes; ++j)
    to[j] = k + j < cols ? NumberOf(view, scale, CodeOf(view, bytes.at, j)) : 0;
}

// As many inputs, of which `count` are left in the row.
template <class T, bool kAligned>
__device__ __forceinline__ void LoadInputs(const T* from, int count, float (&to)[kCodes]) {
  if constexpr (kAligned) {
    constexpr int kPack = kPackOf<T>;
#pragma unroll
    for (int first = 0; first < kCodes; first += kPack) {
      const auto pack = LoadPack<kPack>(from + first);
#pragma unroll
      for (int j = 0; j < kPack; ++j) to[first + j] = ToFloat(pack.at[j]);
    }
  } else {
#pragma unroll
    for (int j = 0; j < kCodes; ++j) to[j] = j < count ? ToFloat(from[j]) : 0;
  }
}

// One number; what is not in a loop over columns is read so.
__device__ __forceinline__ float DecodeOne(const CodesView& view, int64_t row, int k) {
  const uint8_t byte = *CodesOf(view, row, k);
  const unsigned code = view.bits == 8 ? byte : byte >> (k % 2 * 4) & 15u;
  return NumberOf(view, ScaleOf(view, row, k), code);
}

}  // namespace octavo::cuda
