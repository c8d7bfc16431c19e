#if defined(__aarch64__) || defined(_M_ARM64)
#include "kernels/levels_plain.h"
#include "kernels/table.h"
#include "kernels/vec_neon.h"
#else
#include "kernels.h"
#endif

namespace octavo::cpu {

const KernelTable* NeonKernels() {
#if defined(__aarch64__) || defined(_M_ARM64)
  static constexpr KernelTable kTable =
      Table<neon::Vec, PlainIntegers<neon::Vec>, PlainLevels<neon::Vec>>::Named("neon");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
