#include "roofline.h"

#if defined(__ARM_FEATURE_MATMUL_INT8)
#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_neon_i8mm.h"
#endif

namespace octavo::bench {
namespace {

#if defined(__ARM_FEATURE_MATMUL_INT8)
// Products of two rows with two columns, of eight bytes each.
double MultiplySquares(long rounds) {
  volatile uint8_t opaque = 1;
  const uint8x16_t codes = vdupq_n_u8(opaque);
  const int8x16_t inputs = vdupq_n_s8(static_cast<int8_t>(opaque));
  constexpr int kChains = 12;
  int32x4_t sums[kChains];
  for (int i = 0; i < kChains; ++i) sums[i] = vdupq_n_s32(i);
  for (long round = 0; round < rounds; ++round) {
    OCTAVO_UNROLL for (int i = 0; i < kChains; ++i) sums[i] = vusmmlaq_s32(sums[i], codes, inputs);
  }
  int32_t total = 0;
  for (const int32x4_t sum : sums) total += vaddvq_s32(sum);
  volatile int32_t kept = total;
  static_cast<void>(kept);
  return 2.0 * 32 * kChains * static_cast<double>(rounds);
}
#endif

}  // namespace

Roofline NeonI8mmRoofline() {
#if defined(__ARM_FEATURE_MATMUL_INT8)
  using Products = cpu::CodeProducts<cpu::neon_i8mm::Integers>;
  Roofline limits = RooflineOf<cpu::neon::Vec, Products>::Limits();
  limits.multiply_codes8 = limits.multiply_codes4 = MultiplySquares;
  return limits;
#else
  return {};
#endif
}

}  // namespace octavo::bench
