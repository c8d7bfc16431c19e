#include "roofline.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_neon.h"
#endif

namespace octavo::bench {

Roofline NeonRoofline() {
#if defined(__aarch64__) || defined(_M_ARM64)
  return RooflineOf<cpu::neon::Vec, cpu::CodeProducts<cpu::neon::Integers>>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
