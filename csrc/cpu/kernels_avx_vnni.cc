// Compiled as kernels_avx2.cc is, and with -mavxvnni; MSVC has these intrinsics without a flag.
#include "kernels.h"
#if defined(__AVXVNNI__) || (defined(__AVX2__) && defined(_MSC_VER) && !defined(__clang__))
#define OCTAVO_AVX_VNNI 1
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
