// The 16-bit element types and their scalar conversions. Functions are static: each translation
// unit keeps its own copy, so that one compiled for AVX-512 is never linked into code that must run
// anywhere.
#pragma once

#include <cstdint>
#include <cstring>

namespace octavo::cpu {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

static inline float FloatFromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint32_t BitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float ToFloat(float value) { return value; }
static inline float ToFloat(BFloat16 value) { return FloatFromBits(uint32_t{value.bits} << 16); }

static inline float ToFloat(Float16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return FloatFromBits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x400u) return FloatFromBits(sign | ((magnitude << 13) + 0x38000000u));
  const float subnormal = static_cast<float>(magnitude) * 5.9604644775390625e-8f;  // 2^-24
  return FloatFromBits(sign | BitsOf(subnormal));
}

// Conversions from float round to nearest, ties to even.
static inline void FromFloat(float value, float* to) { *to = value; }

static inline void FromFloat(float value, BFloat16* to) {
  const uint32_t bits = BitsOf(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to->bits = static_cast<uint16_t>(nan ? (bits >> 16 | 0x40u)
                                       : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline void FromFloat(float value, Float16* to) {
  const uint32_t bits = BitsOf(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | (magnitude >> 13 & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 65536 and above
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal: 2^-14 and above; a carry may reach infinity
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  } else {  // adding 0.5 leaves the subnormal's bits, rounded, at the end of the sum's mantissa
    half = BitsOf(FloatFromBits(magnitude) + 0.5f) - 0x3f000000u;
  }
  to->bits = static_cast<uint16_t>(sign | half);
}

}  // namespace octavo::cpu
