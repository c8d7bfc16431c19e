// Compiled with -march=armv8.2-a+dotprod; MSVC has these intrinsics without a flag.
#include "kernels.h"
#if defined(__ARM_FEATURE_DOTPROD) || (defined(_M_ARM64) && !defined(__clang__))
#define OCTAVO_DOTPROD 1
#include "kernels/integers_neon_dotprod.h"
#include "kernels/with_products.h"
#endif

namespace octavo::cpu {

const KernelTable* NeonDotprodKernels() {
#if defined(OCTAVO_DOTPROD)
  static const KernelTable kTable =
      WithProducts<neon::Vec, CodeProducts<neon_dotprod::Integers>>(NeonKernels(), "neon_dotprod");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
