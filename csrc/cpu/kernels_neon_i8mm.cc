// Compiled with -march=armv8.2-a+dotprod+i8mm. MSVC: there are no such kernels.
#include "kernels.h"
#if defined(__ARM_FEATURE_MATMUL_INT8)
#include "kernels/integers_neon_i8mm.h"
#include "kernels/with_products.h"
#endif

namespace octavo::cpu {

const KernelTable* NeonI8mmKernels() {
#if defined(__ARM_FEATURE_MATMUL_INT8)
  static const KernelTable kTable =
      WithProducts<neon::Vec, CodeProducts<neon_i8mm::Integers>>(NeonKernels(), "neon_i8mm");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
