#include "cpu/kernels/compiler.h"
#include "roofline.h"

#if defined(OCTAVO_DOTPROD)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_neon_dotprod.h"
#endif

namespace octavo::bench {

Roofline NeonDotprodRoofline() {
#if defined(OCTAVO_DOTPROD)
  return RooflineOf<cpu::neon::Vec, cpu::CodeProducts<cpu::neon_dotprod::Integers>>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
