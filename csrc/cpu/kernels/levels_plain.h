// Products with levels in plain C++ (see linear_levels.h).
#pragma once

#include "integers_plain.h"

namespace octavo::cpu {

template <class V>
struct PlainLevels : PlainIntegers<V> {
  using Base = PlainIntegers<V>;
  using typename Base::Ints;

  template <int kBits>
  struct Dot {
    static constexpr int kLowered = 0;

    explicit Dot(const CodesLayout& layout) {
      for (int code = 0; code < CodesLayout::kLevels; ++code) levels[code] = layout.ValueOf(code);
    }

    struct Weights {
      int32_t v[4 * V::kLanes];
    };
    using Sum = Ints;

    static Sum Start(Ints sums) { return sums; }
    static Ints Finish(Sum parts, Ints) { return parts; }

    Weights Load(const uint8_t* eight, int half) const {
      Weights weights;
      for (int i = 0; i < 4 * V::kLanes; ++i) weights.v[i] = levels[eight[i] >> (4 * half) & 15];
      return weights;
    }

    static Sum Add(const Weights& weights, const int8_t* inputs, Sum sum) {
      for (int i = 0; i < V::kLanes; ++i) {
        for (int j = 0; j < 4; ++j) sum.v[i] += weights.v[4 * i + j] * inputs[j];
      }
      return sum;
    }

    int32_t levels[CodesLayout::kLevels];
  };
};

}  // namespace octavo::cpu
