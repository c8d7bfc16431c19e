#include "roofline.h"

#if defined(__AVX512F__)
#include "cpu/kernels/vec_avx512.h"
#endif

namespace octavo::bench {

// Nothing where the compiler does not know the instruction set: there are no kernels for it either.
Roofline Avx512Roofline() {
#if defined(__AVX512F__)
  using Limits = RooflineOf<cpu::avx512::Vec>;
  return {Limits::MultiplyAdd, Limits::Read};
#else
  return {nullptr, nullptr};
#endif
}

}  // namespace octavo::bench
