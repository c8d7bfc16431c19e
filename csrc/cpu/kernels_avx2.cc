// Compiled with -mavx2 -mfma -mf16c (MSVC: /arch:AVX2).
#if defined(__AVX2__)
#include "kernels/integers_avx2.h"
#include "kernels/table.h"
#include "kernels/vec_avx2.h"
#else
#include "kernels.h"
#endif

namespace octavo::cpu {

const KernelTable* Avx2Kernels() {
#if defined(__AVX2__)
  static constexpr KernelTable kTable = Table<avx2::Vec, avx2::CodeProducts>::Named("avx2");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
