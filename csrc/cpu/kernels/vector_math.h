// Vector functions that several kernels share.
#pragma once

#include <cmath>

#include "../half.h"
#include "../kernels.h"
#include "compiler.h"

namespace octavo::cpu {

// Every sum along a row has this many lanes, element i in lane i % kSumLanes, added up by a fixed
// tree.
constexpr int kSumLanes = 16;

template <class V>
struct Math {
  // The first `count` floats, then `fill`.
  static V LoadFirst(const float* from, int count, float fill) {
    if (count >= V::kLanes) return V::Load(from);
    float lanes[V::kLanes];
    for (int i = 0; i < V::kLanes; ++i) lanes[i] = i < count ? from[i] : fill;
    return V::Load(lanes);
  }

  static void StoreFirst(V value, int count, float* to) {
    if (count >= V::kLanes) return value.Store(to);
    float lanes[V::kLanes];
    value.Store(lanes);
    for (int i = 0; i < count; ++i) to[i] = lanes[i];
  }

  // e^x within 2 units in the last place; 0 below -87.3, e^88.37 from there on; NaN of NaN.
  static V Exp(V x) {
    const V lowest = V::Set(-87.33654f);
    const V highest = V::Set(88.37f);
    const V clamped = V::Max(lowest, V::Min(highest, x));
    const V n = V::Round(clamped * V::Set(1.44269504f));
    // ln 2 in two parts, the first with so few bits that n times it is exact.
    V r = V::Fma(n, V::Set(-0.693359375f), clamped);
    r = V::Fma(n, V::Set(2.12194440e-4f), r);
    // 1 + r + r²·q(r): q is the Taylor series of the rest, enough for |r| <= ln 2 / 2.
    V q = V::Set(1.0f / 5040);
    q = V::Fma(q, r, V::Set(1.0f / 720));
    q = V::Fma(q, r, V::Set(1.0f / 120));
    q = V::Fma(q, r, V::Set(1.0f / 24));
    q = V::Fma(q, r, V::Set(1.0f / 6));
    q = V::Fma(q, r, V::Set(0.5f));
    const V e = V::Fma(q, r * r, r) + V::Set(1.0f);
    return V::SelectBelow(x, lowest, V::Set(0), e * V::PowerOfTwo(n));
  }

  // 2^x within 3e-6 of it, for x up to 0 and as weights are that are rounded to bfloat16; 0 below
  // -126.5, NaN of NaN.
  static V Exp2(V x) {
    const V clamped = V::Max(V::Set(-127), x);
    const V n = V::Round(clamped), r = clamped - n;
    V p = V::Set(0.00958285201f);
    p = V::Fma(p, r, V::Set(0.0559064262f));
    p = V::Fma(p, r, V::Set(0.240240991f));
    p = V::Fma(p, r, V::Set(0.693124175f));
    return V::Fma(p, r, V::Set(1)) * V::PowerOfTwo(n);
  }

  // Within 1e-7 of tanh; NaN of NaN.
  static V Tanh(V x) {
    const V zero = V::Set(0), one = V::Set(1);
    const V e = Exp(V::Set(-2) * V::Max(x, zero - x));
    const V positive = (one - e) / (one + e);
    return V::SelectBelow(x, zero, zero - positive, positive);
  }

  // Adds the lanes of `sums`, kSumLanes of them, as a balanced tree.
  static float Tree(float* sums) {
    for (int width = kSumLanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) sums[i] += sums[i + width];
    }
    return sums[0];
  }
};

}  // namespace octavo::cpu
