// Tensor-core products, the loads of their fragments and asynchronous copies. Layouts are those of
// PTX's mma.m16n8k16: see emulation/tensor_core.h, which spells them out.
#pragma once

#include "platform.cuh"

#ifdef OCTAVO_CUDA_EMULATED

#include "../emulation/tensor_core.h"

#else

namespace octavo::cuda {

template <class T>
__device__ __forceinline__ uint32_t SharedAddress(const T* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Lane i names row i % 8 of the 8 × 8 matrix i / 8.
template <class T>
__device__ __forceinline__ void LoadMatrix(uint32_t (&registers)[4], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(SharedAddress(row))
               : "memory");
}

template <class T>
__device__ __forceinline__ void LoadMatrixTransposed(uint32_t (&registers)[4], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(SharedAddress(row))
               : "memory");
}

// d += a × b of 16 × 16 and 16 × 8 elements.
template <class T>
__device__ __forceinline__ void MultiplyAdd(float (&d)[4], const uint32_t (&a)[4],
                                            const uint32_t* b) {
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  } else {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
        "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
}

// Sixteen bytes, past the first-level cache, or four; zeros where not valid.
template <int kBytes = 16, class T>
__device__ __forceinline__ void CopyAsync(T* to, const T* from, bool valid) {
  const int bytes = valid ? kBytes : 0;
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(SharedAddress(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes)
                 : "memory");
  } else {
    static_assert(kBytes == 4);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
                 :
                 : "r"(SharedAddress(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes)
                 : "memory");
  }
}

__device__ __forceinline__ void CommitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

// Until at most `pending` groups of this thread are under way.
template <int pending>
__device__ __forceinline__ void WaitForCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

}  // namespace octavo::cuda

#endif

namespace octavo::cuda {

// Two numbers as a register of a fragment holds them.
template <class T>
__device__ __forceinline__ uint32_t PackPair(float low, float high) {
  const Pack<T, 2> pair = {{Rounded<T>(low), Rounded<T>(high)}};
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}

// The row and column of a 16 × 16 tile that a lane names to LoadMatrix: of a left operand, of a
// right operand that is stored by its columns, and of one stored by its rows (Transposed).
struct LaneTile {
  int row, column;
};
__device__ __forceinline__ LaneTile LeftTile(int lane) { return {lane % 16, lane / 16 * 8}; }
__device__ __forceinline__ LaneTile RightTile(int lane) {
  return {lane / 16 * 8 + lane % 8, lane / 8 % 2 * 8};
}

}  // namespace octavo::cuda
