// Scales and zero points of stored codes, whatever their element type.
#pragma once

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "../cpu/half.h"
#include "stored_tensor.h"

namespace octavo {

// Numbers of a part whose type is float32, float16, bfloat16 or a power of two in a byte.
class Scales {
 public:
  // Throws unless the part has `count` of them, or one for all.
  Scales(const StoredPart& part, int64_t count) : data_(part.data) {
    if (part.type == "F8_E8M0") size_ = 1;
    if (part.type == "F32") size_ = sizeof(float);
    if (part.type == "BF16") bfloat_ = true;
    if (part.type == "F16" || part.type == "BF16") size_ = 2;
    if (size_ == 0) throw std::runtime_error("scales of type " + part.type);
    one_ = part.bytes == size_;
    if (!one_ && part.bytes != static_cast<uint64_t>(count) * size_)
      throw std::runtime_error(std::to_string(part.bytes) + " bytes of scales, expected " +
                               std::to_string(count) + " of " + part.type);
  }

  // Whether all of them are float16 numbers.
  bool half() const { return size_ == 2 && !bfloat_; }

  float operator[](int64_t i) const {
    const uint8_t* at = data_ + (one_ ? 0 : static_cast<size_t>(i) * size_);
    if (size_ == 1) return std::ldexp(1.0f, *at - 127);
    if (size_ == sizeof(float)) {
      float number;
      std::memcpy(&number, at, sizeof number);
      return number;
    }
    const auto bits = static_cast<uint16_t>(at[0] | at[1] << 8);
    return bfloat_ ? cpu::ToFloat(cpu::BFloat16{bits}) : cpu::ToFloat(cpu::Float16{bits});
  }

 private:
  const uint8_t* data_;
  size_t size_ = 0;
  bool bfloat_ = false, one_ = false;
};

}  // namespace octavo
