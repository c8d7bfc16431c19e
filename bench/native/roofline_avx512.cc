#include "roofline.h"

#if defined(__AVX512F__)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_avx512.h"
#endif

namespace octavo::bench {

// Nothing where the compiler does not know the instruction set: there are no kernels for it either.
Roofline Avx512Roofline() {
#if defined(__AVX512F__)
  return RooflineOf<cpu::avx512::Vec, cpu::avx512::CodeProducts>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
