// Vectors of four floats: NEON, which every 64-bit ARM processor has.
#pragma once

#include <arm_neon.h>

#include "../half.h"
#include "compiler.h"

namespace octavo::cpu::neon {

struct Vec {
  static constexpr int kLanes = 4;
  static constexpr int kAccumulators = 24;
  static constexpr int kSharedColumns = 0;  // see fetching.h
  static constexpr int kRowsOfPointer = 1;  // see InputRows

  float32x4_t v;

  static OCTAVO_INLINE void Prefetch(const void* address) {
#if defined(_MSC_VER) && !defined(__clang__)
    __prefetch(address);
#else
    __builtin_prefetch(address);
#endif
  }

  // To the second-level cache.
  static OCTAVO_INLINE void PrefetchFar(const void* address) {
#if defined(_MSC_VER) && !defined(__clang__)
    __prefetch2(address, 2);
#else
    __builtin_prefetch(address, 0, 2);
#endif
  }

  static Vec Set(float x) { return {vdupq_n_f32(x)}; }

  static Vec Load(const float* from) { return {vld1q_f32(from)}; }
  static Vec Load(const BFloat16* from) {
    return {vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(&from->bits), 16))};
  }
  static Vec Load(const Float16* from) {
    return {vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(&from->bits)))};
  }
  static Vec Load(const Int8* from) {
    uint32_t codes;
    std::memcpy(&codes, from, sizeof codes);
    const int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(codes));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))))};
  }
  // As half.h converts one.
  static Vec Load(const Float8* from) {
    uint32_t four;
    std::memcpy(&four, from, sizeof four);
    const uint16x4_t words = vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four))));
    const uint16x4_t low = vdup_n_u16(0x7f), magnitude = vand_u16(words, low);
    const uint16x4_t nan = vand_u16(vceq_u16(magnitude, low), vdup_n_u16(0x7c00));
    const uint16x4_t sign = vshl_n_u16(vbic_u16(words, low), 8);
    const uint16x4_t half = vorr_u16(vshl_n_u16(magnitude, 7), nan);
    return Vec{vcvt_f32_f16(vreinterpret_f16_u16(vorr_u16(half, sign)))} * Set(256);
  }

  void Store(float* to) const { vst1q_f32(to, v); }
  template <class T>
  void Store(T* to) const {
    float lanes[kLanes];
    vst1q_f32(lanes, v);
    for (int i = 0; i < kLanes; ++i) FromFloat(lanes[i], to + i);
  }
  void Store(Float16* to) const { vst1_u16(&to->bits, vreinterpret_u16_f16(vcvt_f16_f32(v))); }

  // As half.h converts one.
  uint32x4_t RoundedBits() const {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vbslq_u32(vceqq_f32(v, v), rounded, quiet);
  }
  Vec ToBFloat16() const {
    return {vreinterpretq_f32_u32(vandq_u32(RoundedBits(), vdupq_n_u32(0xffff0000u)))};
  }
  void Store(BFloat16* to) const { vst1_u16(&to->bits, vshrn_n_u32(RoundedBits(), 16)); }

  // The first numbers of neighbouring pairs, or the second ones.
  static Vec LoadFirsts(const BFloat16* pairs) {
    return {vreinterpretq_f32_u32(vshlq_n_u32(LoadPairs(pairs), 16))};
  }
  static Vec LoadSeconds(const BFloat16* pairs) {
    return {vreinterpretq_f32_u32(vandq_u32(LoadPairs(pairs), vdupq_n_u32(0xffff0000u)))};
  }
  static uint32x4_t LoadPairs(const BFloat16* pairs) {
    return vreinterpretq_u32_u16(vld1q_u16(&pairs->bits));
  }

  friend Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }
  // The second operand where one is NaN, as x86 does.
  static Vec Max(Vec a, Vec b) { return {vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v)}; }
  static Vec Min(Vec a, Vec b) { return {vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v)}; }
  static Vec Fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
  static Vec AddProduct(Vec a, Vec b, Vec sum) { return Fma(a, b, sum); }
  static Vec Round(Vec x) { return {vrndnq_f32(x.v)}; }
  static Vec PowerOfTwo(Vec n) {
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127));
    return {vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23))};
  }
  static Vec SelectBelow(Vec x, Vec limit, Vec a, Vec b) {
    return {vbslq_f32(vcltq_f32(x.v, limit.v), a.v, b.v)};
  }
};

}  // namespace octavo::cpu::neon
