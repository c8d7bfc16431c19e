// The two limits that kernels are measured against, for one instruction set and one thread: what
// its multiply-adds can reach with everything in registers, and how fast memory can be read.
#pragma once

#include <cstddef>

namespace octavo::bench {

struct Roofline {
  // Runs `rounds` rounds of independent multiply-adds; returns how many float operations those
  // were.
  double (*multiply_add)(long rounds);
  // Reads `count` floats.
  float (*read)(const float* data, size_t count);
};

template <class V>
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
Roofline Avx512Roofline();

}  // namespace octavo::bench
