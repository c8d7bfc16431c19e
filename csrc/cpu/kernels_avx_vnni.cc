// Compiled as kernels_avx2.cc is, and with -mavxvnni.
#include "kernels.h"
#include "kernels/compiler.h"
#if defined(OCTAVO_AVX_VNNI)
#include "kernels/integers_avx_vnni.h"
#include "kernels/with_products.h"
#endif

namespace octavo::cpu {

const KernelTable* AvxVnniKernels() {
#if defined(OCTAVO_AVX_VNNI)
  static const KernelTable kTable =
      WithProducts<avx2::Vec, CodeProducts<avx_vnni::Integers>>(Avx2Kernels(), "avx_vnni");
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
