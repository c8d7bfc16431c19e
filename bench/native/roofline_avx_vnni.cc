#include "cpu/kernels/compiler.h"
#include "roofline.h"

#if defined(OCTAVO_AVX_VNNI)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_avx_vnni.h"
#endif

namespace octavo::bench {

// Nothing where the compiler does not know the instruction set: there are no kernels for it either.
Roofline AvxVnniRoofline() {
#if defined(OCTAVO_AVX_VNNI)
  return RooflineOf<cpu::avx2::Vec, cpu::CodeProducts<cpu::avx_vnni::Integers>>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
