// Products of codes by instructions that add four products of bytes to a lane.
#pragma once

#include "../kernels.h"

namespace octavo::cpu {

// I: the integers of an instruction set (see integers_plain.h).
template <class I>
struct CodeProducts : I {
  using typename I::Bytes;
  using typename I::Ints;

  // Whether tiles share what they ask memory for: it is measured where it gains.
  static constexpr bool kSharesFetching = false;

  template <int kBits>
  struct Dot {
    static constexpr int kLowered = kBits == 8 ? I::kLowered : 0;

    explicit Dot(const CodesLayout&) {}

    using Weights = Bytes;
    using Sum = Ints;

    // A step of columns begins with the sums so far, and ends with them and its own.
    static Sum Start(Ints sums) { return sums; }
    static Ints Finish(Sum parts, Ints) { return parts; }

    // Columns 0 to 3 of eight, or with half 1 columns 4 to 7.
    static Weights Load(const uint8_t* eight, int half) {
      return kBits == 8 ? I::LoadBytes(eight + half * kPanel * 4) : I::LoadHalves(eight, half);
    }

    static Sum Add(Weights weights, typename I::Inputs inputs, Sum sum) {
      return I::AddFours(sum, weights, inputs);
    }
  };
};

}  // namespace octavo::cpu
