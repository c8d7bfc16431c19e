#if defined(__aarch64__) || defined(_M_ARM64)
#include "kernels/code_products.h"
#include "kernels/integers_neon.h"
#include "kernels/table.h"
#else
#include "kernels.h"
#endif

namespace octavo::cpu {

const KernelTable* NeonKernels() {
#if defined(__aarch64__) || defined(_M_ARM64)
  static constexpr KernelTable kTable =
      Table<neon::Vec, CodeProducts<neon::Integers>>::Named("neon");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
