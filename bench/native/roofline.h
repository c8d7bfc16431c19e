// The two limits that kernels are measured against, for one instruction set and one thread: what
// its multiply-adds can reach with everything in registers, and how fast memory can be read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/kernels/code_products.h"

namespace octavo::bench {

struct Roofline {
  // Runs `rounds` rounds of independent multiply-adds; returns how many float operations those
  // were.
  double (*multiply_add)(long rounds) = nullptr;
  // The same with products of codes of 16 bits, of 8 and of 4.
  double (*multiply_words)(long rounds) = nullptr;
  double (*multiply_codes8)(long rounds) = nullptr;
  double (*multiply_codes4)(long rounds) = nullptr;
  // The same with pairs of bfloat16 numbers; null: there are no instructions for them.
  double (*multiply_pairs)(long rounds) = nullptr;
  // Reads `count` floats.
  float (*read)(const float* data, size_t count) = nullptr;
};

template <class V, class D>
struct RooflineOf {
  static constexpr int kChains = 12;

  static double MultiplyAdd(long rounds) {
    V sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = V::Set(static_cast<float>(i));
    volatile float opaque = 0.5f;
    const V a = V::Set(opaque), b = V::Set(opaque);
    for (long round = 0; round < rounds; ++round) {
      for (int i = 0; i < kChains; ++i) sums[i] = V::Fma(sums[i], a, b);
    }
    for (int i = 0; i < kChains; ++i) Keep(sums[i]);
    return 2.0 * kChains * V::kLanes * static_cast<double>(rounds);
  }

  // Inputs change from round to round, and no two products are the same: none can be saved. The
  // sums are no array, which compilers would keep in memory. Where registers allow, there are
  // twelve of them: an Ice Lake begins two products a cycle, and each takes five.
  template <int kBits>
  static double MultiplyCodes(long rounds) {
    using Dot = cpu::DotOf<D, kBits>;
    constexpr int kRows = V::kAccumulators >= 24 ? 3 : 2, kVectors = 4, kInputs = 64;
    uint8_t codes[2 * cpu::kPanel * kBits];
    int8_t inputs[kInputs + 4 * cpu::QuantizedRows::kBlock * Dot::kPlanes];
    volatile uint8_t opaque = 1;
    for (uint8_t& code : codes) code = opaque;
    for (int8_t& input : inputs) input = static_cast<int8_t>(opaque);
    const auto w0 = Dot::Load(codes, 0), w1 = Dot::Load(codes, 1);
    const auto w2 = Dot::Load(codes + 4, 0), w3 = Dot::Load(codes + 4, 1);
    const auto zero = D::Zero();
    auto a0 = Dot::Start(zero), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    auto c0 = a0, c1 = a0, c2 = a0, c3 = a0;
    for (long round = 0; round < rounds; ++round) {
      const int8_t* from = inputs + round % kInputs;
      const auto a = Dot::Broadcast(from, 0), b = Dot::Broadcast(from, 1);
      a0 = Dot::Add(w0, a, a0), a1 = Dot::Add(w1, a, a1);
      a2 = Dot::Add(w2, a, a2), a3 = Dot::Add(w3, a, a3);
      b0 = Dot::Add(w0, b, b0), b1 = Dot::Add(w1, b, b1);
      b2 = Dot::Add(w2, b, b2), b3 = Dot::Add(w3, b, b3);
      if constexpr (kRows > 2) {
        const auto c = Dot::Broadcast(from, 2);
        c0 = Dot::Add(w0, c, c0), c1 = Dot::Add(w1, c, c1);
        c2 = Dot::Add(w2, c, c2), c3 = Dot::Add(w3, c, c3);
      }
    }
    auto total = zero;
    for (const auto& sum : {a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3})
      total = D::Plus(total, Dot::Finish(sum, zero));
    Keep(D::ToFloats(total));
    return 2.0 * kVectors * kRows * 4 * V::kLanes * static_cast<double>(rounds);
  }

  static Roofline Limits() {
    return {MultiplyAdd, MultiplyCodes<16>, MultiplyCodes<8>, MultiplyCodes<4>, nullptr, Read};
  }

  static float Read(const float* data, size_t count) {
    V sums[8];
    for (V& sum : sums) sum = V::Set(0);
    for (size_t i = 0; i + 8 * V::kLanes <= count; i += 8 * V::kLanes) {
      for (int s = 0; s < 8; ++s) sums[s] = sums[s] + V::Load(data + i + s * V::kLanes);
    }
    float total = 0;
    for (const V& sum : sums) total += Keep(sum);
    return total;
  }

  static float Keep(V value) {
    float lanes[V::kLanes];
    value.Store(lanes);
    volatile float kept = lanes[0];
    return kept;
  }
};

Roofline PortableRoofline();
Roofline Avx2Roofline();
Roofline AvxVnniRoofline();
Roofline Avx512Roofline();
Roofline Avx512Bf16Roofline();
Roofline NeonRoofline();
Roofline NeonDotprodRoofline();
Roofline NeonI8mmRoofline();

}  // namespace octavo::bench
