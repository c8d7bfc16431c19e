#include "roofline.h"

#if defined(__AVX2__)
#include "cpu/kernels/integers_avx2.h"
#endif

namespace octavo::bench {

// Nothing where the compiler does not know the instruction set: there are no kernels for it either.
Roofline Avx2Roofline() {
#if defined(__AVX2__)
  return RooflineOf<cpu::avx2::Vec, cpu::avx2::CodeProducts>::Limits();
#else
  return {};
#endif
}

}  // namespace octavo::bench
