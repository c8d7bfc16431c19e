#include "roofline.h"

#if defined(__ARM_FEATURE_DOTPROD)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_neon_dotprod.h"
#endif

namespace octavo::bench {

Roofline NeonDotprodRoofline() {
#if defined(__ARM_FEATURE_DOTPROD)
  return RooflineOf<cpu::neon::Vec, cpu::CodeProducts<cpu::neon_dotprod::Integers>>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
