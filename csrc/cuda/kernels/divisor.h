// Division by a number that many are divided by.
#pragma once

#include "step.h"

namespace octavo::cuda {

// n / d, for n ≥ 0, is a product and a shift (Granlund and Montgomery, 1994); a GPU takes twenty
// instructions to divide by a number that the compiler does not know.
class Divisor {
 public:
  Divisor() = default;
  Divisor(int value) : value_(value) {
    if (value <= 0) return;  // nothing is divided by it
    while (uint64_t{1} << (shift_ - kBits) < static_cast<uint64_t>(value)) ++shift_;
    inverse_ = static_cast<uint32_t>((uint64_t{1} << shift_) / static_cast<uint64_t>(value) + 1);
  }

  OCTAVO_EVERYWHERE operator int() const { return value_; }
  friend OCTAVO_EVERYWHERE int operator/(int n, const Divisor& d) {
    return static_cast<int>(uint64_t{static_cast<uint32_t>(n)} * d.inverse_ >> d.shift_);
  }
  friend OCTAVO_EVERYWHERE int operator%(int n, const Divisor& d) { return n - n / d * d.value_; }

 private:
  static constexpr int kBits = 31;  // of n
  int value_ = 0, shift_ = kBits;
  uint32_t inverse_ = 0;  // ⌊2^shift / value⌋ + 1
};

}  // namespace octavo::cuda
