// Compiled with -mavx512f -mavx512bw -mavx512vl -mavx512dq (MSVC: /arch:AVX512).
#if defined(__AVX512F__)
#include "kernels/code_products.h"
#include "kernels/integers_avx512.h"
#include "kernels/table.h"
#include "kernels/vec_avx512.h"
#else
#include "kernels.h"
#endif

namespace octavo::cpu {

const KernelTable* Avx512Kernels() {
#if defined(__AVX512F__)
  static constexpr KernelTable kTable = Table<avx512::Vec, avx512::CodeProducts>::Named("avx512");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
