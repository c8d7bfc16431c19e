// Numbers that tests make from a seed (test/support/made-numbers.ts), so that recordings need not
// hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tensor.h"

namespace octavo {

struct MadeNumbers {
  uint32_t seed = 0;
  size_t count = 0;
  Type type = Type::kFloat32;  // that each is rounded to
  double deviation = 1, outlier = 1;

  // About normal of that deviation; one in a hundred is `outlier` times as large.
  std::vector<float> Make() const;
  // Their elements as the type stores them.
  std::vector<uint8_t> MakeElements() const;
};

}  // namespace octavo
