// What kernels are written in: CUDA, or the same language emulated on the CPU (docs/cuda.md). The
// names below are all that differs; kernels ask for nothing else of their platform.
#pragma once

#include <cstdint>
#include <type_traits>

#include "stream.h"

#ifdef OCTAVO_CUDA_EMULATED

#include "../emulation/device.h"

namespace octavo::cuda {

// Starts `kernel` on the stream; a grid without blocks is nothing to do (a step may sample no row).
// Its first parameter is the stream's mark, which it leaves at once.
// `shared_bytes`: dynamic shared memory of a block.
template <class... Parameters>
void Launch(const char* name, void (*kernel)(Mark, Parameters...), Dim3 grid, Dim3 block,
            size_t shared_bytes, Stream stream, std::common_type_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  emulation::Submit(stream, [=] {
    const auto body = [&] { kernel(stream.mark, arguments...); };
    emulation::RunGrid(name, grid, block, shared_bytes, body, stream.mark);
  });
}

}  // namespace octavo::cuda

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace octavo::cuda {

using BFloat16 = __nv_bfloat16;
using Float16 = __half;
using Dim3 = dim3;

// A code that a scale elsewhere makes a number of.
struct Int8 {
  int8_t code;
};
// e4m3: four bits of exponent, three of mantissa, no infinities.
struct Float8 {
  __nv_fp8_storage_t bits;
};

constexpr unsigned kAllLanes = 0xffffffffu;

template <class T>
using SharedArray = T*;

// The emulator checks what a GPU would fail at.
__device__ __forceinline__ void CheckAligned(const void*, size_t) {}

template <class T>
__device__ __forceinline__ T* Shared(size_t offset, size_t) {
  extern __shared__ __align__(128) uint8_t octavo_shared[];
  return reinterpret_cast<T*>(octavo_shared + offset);
}

__device__ __forceinline__ float ToFloat(float value) { return value; }
__device__ __forceinline__ float ToFloat(BFloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float ToFloat(Float16 value) { return __half2float(value); }
__device__ __forceinline__ float ToFloat(Int8 value) { return value.code; }
__device__ __forceinline__ float ToFloat(Float8 value) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(value.bits, __NV_E4M3)));
}
__device__ __forceinline__ void FromFloat(float value, float* to) { *to = value; }
__device__ __forceinline__ void FromFloat(float value, BFloat16* to) {
  *to = __float2bfloat16_rn(value);
}
__device__ __forceinline__ void FromFloat(float value, Float16* to) {
  *to = __float2half_rn(value);
}
// The nearest code; NaN becomes 0.
__device__ __forceinline__ void FromFloat(float value, Int8* to) {
  to->code = static_cast<int8_t>(max(-127, min(__float2int_rn(value), 127)));
}
// What is beyond ±448 becomes ±448; NaN stays.
__device__ __forceinline__ void FromFloat(float value, Float8* to) {
  to->bits = __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
}

template <class T>
__device__ __forceinline__ T AtomicAdd(T* to, T value) {
  return atomicAdd(to, value);
}
__device__ __forceinline__ uint64_t AtomicAdd(uint64_t* to, uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(to), value);
}

template <class... Parameters>
void Launch(const char* name, void (*kernel)(Mark, Parameters...), Dim3 grid, Dim3 block,
            size_t shared_bytes, Stream stream, std::common_type_t<Parameters>... arguments) {
  if (grid.x == 0 || grid.y == 0) return;
  constexpr size_t kWithoutAsking = 48 << 10;
  cudaError_t error = cudaSuccess;
  if (shared_bytes > kWithoutAsking)
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(shared_bytes));
  if (error == cudaSuccess) {
    void* pointers[] = {&stream.mark, &arguments...};
    error = cudaLaunchKernel(kernel, grid, block, pointers, shared_bytes,
                             static_cast<cudaStream_t>(stream.handle));
  }
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("kernel ") + name + ": " + cudaGetErrorString(error));
}

}  // namespace octavo::cuda

#endif

namespace octavo::cuda {

constexpr int kWarp = 32;

// By all threads, though one writes: it is a single store, and nobody waits for it.
__device__ __forceinline__ void Leave(const Mark& mark) {
  const bool first = threadIdx.x == 0 && blockIdx.x == 0 && blockIdx.y == 0 && blockIdx.z == 0;
  if (first && mark.word != nullptr) *static_cast<volatile int32_t*>(mark.word) = mark.value;
}

template <class T>
__device__ __forceinline__ T Rounded(float value) {
  T result;
  FromFloat(value, &result);
  return result;
}

// Element `at` of `to`, which are of T or, `wide`, of float32.
template <class T>
__device__ __forceinline__ void StoreElement(float value, bool wide, void* to, int64_t at) {
  if (wide)
    static_cast<float*>(to)[at] = value;
  else
    static_cast<T*>(to)[at] = Rounded<T>(value);
}

// Neighbouring elements that are loaded and stored as one.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Pack {
  T at[kCount];
};

// As many as a thread moves with one instruction.
template <class T>
constexpr int kPackOf = 16 / sizeof(T);

template <int kCount, class T>
__device__ __forceinline__ Pack<T, kCount> LoadPack(const T* from) {
  CheckAligned(from, sizeof(Pack<T, kCount>));
  return *reinterpret_cast<const Pack<T, kCount>*>(from);
}
template <int kCount, class T>
__device__ __forceinline__ void StorePack(const Pack<T, kCount>& pack, T* to) {
  CheckAligned(to, sizeof(pack));
  *reinterpret_cast<Pack<T, kCount>*>(to) = pack;
}

}  // namespace octavo::cuda
