// The element types of 16 and 8 bits and their scalar conversions. Functions are static: each
// translation unit keeps its own copy, so that one compiled for AVX-512 is never linked into code
// that must run anywhere.
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

// A code that a scale elsewhere makes a number of.
struct Int8 {
  int8_t code;
};
// e4m3: four bits of exponent, three of mantissa, no infinities.
struct Float8 {
  uint8_t bits;
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

static inline float ToFloat(Int8 value) { return static_cast<float>(value.code); }

// Shifted by one, the bits are those of a float16 2^8 times smaller.
static inline float ToFloat(Float8 value) {
  const uint32_t sign = value.bits & 0x80u, magnitude = value.bits & 0x7fu;
  const uint32_t nan = magnitude == 0x7fu ? 0x7c00u : 0;
  return ToFloat(Float16{static_cast<uint16_t>(sign << 8 | magnitude << 7 | nan)}) * 256;
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

// The nearest code; NaN becomes 0.
static inline void FromFloat(float value, Int8* to) {
  const float limited = value > 127 ? 127 : value >= -127 ? value : value < -127 ? -127 : 0;
  to->code = static_cast<int8_t>((limited + 12582912.0f) - 12582912.0f);  // 1.5 · 2^23
}

// What is beyond ±448 becomes ±448; NaN stays.
static inline void FromFloat(float value, Float8* to) {
  const uint32_t bits = BitsOf(value);
  const uint32_t sign = bits >> 24 & 0x80u, magnitude = bits & 0x7fffffffu;
  uint32_t eight;
  if (magnitude > 0x7f800000u) {
    eight = 0x7fu;
  } else if (magnitude >= 0x43e00000u) {  // 448
    eight = 0x7eu;
  } else if (magnitude >= 0x3c800000u) {  // normal: 2^-6 and above
    eight = (magnitude - 0x3c000000u + 0x7ffffu + (magnitude >> 20 & 1u)) >> 20;
  } else {  // steps of 2^-9, which adding 2^14 rounds to
    eight = BitsOf(FloatFromBits(magnitude) + 16384.0f) - 0x46800000u;
  }
  to->bits = static_cast<uint8_t>(sign | eight);
}

}  // namespace octavo::cpu
