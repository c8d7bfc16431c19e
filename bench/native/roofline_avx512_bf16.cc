#include "roofline.h"

#if defined(__AVX512BF16__)
#include "cpu/kernels/pairs_avx512.h"
#endif

namespace octavo::bench {
namespace {

#if defined(__AVX512BF16__)
double MultiplyPairs(long rounds) {
  using cpu::avx512::Pairs;
  using cpu::avx512::Vec;
  constexpr int kColumns = 2;
  uint32_t inputs[16];
  volatile uint32_t opaque = 0x3f003f00;  // a half, twice
  for (uint32_t& pair : inputs) pair = opaque;
  const __m512i a = _mm512_loadu_si512(inputs), b = a;
  // The sums are no array, which compilers would keep in memory.
  Vec s0 = Vec::Set(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0;
  Vec t0 = s0, t1 = s0, t2 = s0, t3 = s0, t4 = s0, t5 = s0;
  for (long round = 0; round < rounds; ++round) {
    s0 = Pairs::Add(a, b, s0), s1 = Pairs::Add(a, b, s1), s2 = Pairs::Add(a, b, s2);
    s3 = Pairs::Add(a, b, s3), s4 = Pairs::Add(a, b, s4), s5 = Pairs::Add(a, b, s5);
    t0 = Pairs::Add(b, a, t0), t1 = Pairs::Add(b, a, t1), t2 = Pairs::Add(b, a, t2);
    t3 = Pairs::Add(b, a, t3), t4 = Pairs::Add(b, a, t4), t5 = Pairs::Add(b, a, t5);
    for (Vec* sum : {&s0, &s1, &s2, &s3, &s4, &s5, &t0, &t1, &t2, &t3, &t4, &t5})
      asm volatile("" : "+v"(sum->v));  // or equal sums would be computed once
  }
  float lanes[Vec::kLanes];
  (s0 + s1 + s2 + s3 + s4 + s5 + t0 + t1 + t2 + t3 + t4 + t5).Store(lanes);
  volatile float kept = lanes[0];
  static_cast<void>(kept);
  return 2.0 * kColumns * 12 * Vec::kLanes * static_cast<double>(rounds);
}
#endif

}  // namespace

Roofline Avx512Bf16Roofline() {
  Roofline limits = Avx512Roofline();
#if defined(__AVX512BF16__)
  limits.multiply_pairs = MultiplyPairs;
#endif
  return limits;
}

}  // namespace octavo::bench
