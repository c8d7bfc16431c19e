// The functions of `activation` ops. A backend may lack one: then it refuses the op.
#pragma once

#include <cstdint>

namespace octavo {

enum class Activation : uint8_t {
  kSilu,
  kGelu,
  kGeluTanh,
  kGeluQuick,
  kRelu,
  kReluSquared,
  kXielu,
  kClampedSwiglu,
};

}  // namespace octavo
