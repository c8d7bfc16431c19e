// Compiled with -march=armv8.2-a+dotprod.
#include "kernels.h"
#include "kernels/compiler.h"
#if defined(OCTAVO_DOTPROD)
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
