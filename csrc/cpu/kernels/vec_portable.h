// Vectors of four floats in plain C++.
#pragma once

#include <cmath>

#include "../half.h"

namespace octavo::cpu::portable {

struct Vec {
  static constexpr int kLanes = 4;
  // How many vectors of sums a register-blocked kernel may hold.
  static constexpr int kAccumulators = 12;
  static constexpr int kSharedColumns = 0;  // see fetching.h
  static constexpr int kRowsOfPointer = 1;  // see InputRows

  float v[kLanes];

  static void Prefetch(const void*) {}
  static void PrefetchFar(const void*) {}

  static Vec Set(float x) { return {{x, x, x, x}}; }

  template <class T>
  static Vec Load(const T* from) {
    return {{ToFloat(from[0]), ToFloat(from[1]), ToFloat(from[2]), ToFloat(from[3])}};
  }

  template <class T>
  void Store(T* to) const {
    for (int i = 0; i < kLanes; ++i) FromFloat(v[i], to + i);
  }

  Vec ToBFloat16() const {
    BFloat16 rounded[kLanes];
    Store(rounded);
    return Load(rounded);
  }

  // The first numbers of neighbouring pairs, or the second ones.
  static Vec LoadFirsts(const BFloat16* pairs) {
    return {{ToFloat(pairs[0]), ToFloat(pairs[2]), ToFloat(pairs[4]), ToFloat(pairs[6])}};
  }
  static Vec LoadSeconds(const BFloat16* pairs) { return LoadFirsts(pairs + 1); }

  template <class F>
  static Vec Map(const Vec& a, const Vec& b, F f) {
    Vec out;
    for (int i = 0; i < kLanes; ++i) out.v[i] = f(a.v[i], b.v[i]);
    return out;
  }

  friend Vec operator+(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x + y; });
  }
  friend Vec operator-(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x - y; });
  }
  friend Vec operator*(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x * y; });
  }
  friend Vec operator/(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x / y; });
  }
  // The second operand where one is NaN, as x86 does.
  static Vec Max(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x > y ? x : y; });
  }
  static Vec Min(Vec a, Vec b) {
    return Map(a, b, [](float x, float y) { return x < y ? x : y; });
  }

  // a·b + c: fused where the hardware does it, else rounded twice.
  static Vec Fma(Vec a, Vec b, Vec c) {
    Vec out;
    for (int i = 0; i < kLanes; ++i) {
#if defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
      out.v[i] = std::fma(a.v[i], b.v[i], c.v[i]);
#else
      out.v[i] = a.v[i] * b.v[i] + c.v[i];
#endif
    }
    return out;
  }

  static Vec AddProduct(Vec a, Vec b, Vec sum) { return Fma(a, b, sum); }

  // To the nearest integer, ties to even; for |x| < 2^22.
  static Vec Round(Vec x) {
    const Vec magic = Set(12582912.0f);  // 1.5 · 2^23
    return (x + magic) - magic;
  }

  // 2^n for whole n in [-126, 127]; 0 for -127.
  static Vec PowerOfTwo(Vec n) {
    Vec out;
    for (int i = 0; i < kLanes; ++i) {
      out.v[i] = FloatFromBits(static_cast<uint32_t>(static_cast<int32_t>(n.v[i]) + 127) << 23);
    }
    return out;
  }

  // a where x < limit, else b.
  static Vec SelectBelow(Vec x, Vec limit, Vec a, Vec b) {
    Vec out;
    for (int i = 0; i < kLanes; ++i) out.v[i] = x.v[i] < limit.v[i] ? a.v[i] : b.v[i];
    return out;
  }
};

}  // namespace octavo::cpu::portable
