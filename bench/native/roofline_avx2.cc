#include "roofline.h"

#if defined(__AVX2__)
#include "cpu/kernels/vec_avx2.h"
#endif

namespace octavo::bench {

// Nothing where the compiler does not know the instruction set: there are no kernels for it either.
Roofline Avx2Roofline() {
#if defined(__AVX2__)
  using Limits = RooflineOf<cpu::avx2::Vec>;
  return {Limits::MultiplyAdd, Limits::Read};
#else
  return {nullptr, nullptr};
#endif
}

}  // namespace octavo::bench
