// Tests each intrinsic of AVX-512 and AVX-VNNI that kernels use against plain C++, on random and on
// extreme numbers: the emulated ones if emulated_avx512.h was put before this file, else the
// processor's own. Arguments name the instruction sets. Prints the first lane that differs and ends
// with 1.
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <string>

#include "check.h"
#include "cpu/half.h"
#include "cpu/kernels/intrinsics_x86.h"

namespace octavo::cpu {
namespace {

constexpr int kRounds = 20000;
constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// What fills a vector.
template <class T>
using Numbers = std::array<T, 64 / sizeof(T)>;

constexpr uint32_t kExtremes[] = {
    0,          0x80000000, 1,          0x807fffff, 0x00800000, 0x80800000,  // up to 2^-126
    0x33800000, 0x387fe000, 0x38800000, 0x477fefff, 0x477ff000, 0xc7800000,  // float16's bounds
    0x3f000000, 0x3fc00000, 0xc0200000, 0x4b000001, 0x4effffff, 0x4f000000,  // whole numbers
    0xcf000000, 0xcf000001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,  // up to infinity
    0x7f800001, 0xffc12345, 0x7fffffff, 0xffffffff, 0x3f808000, 0x3f818000,  // NaN, bfloat16's ties
    0xff00ff00, 0x80808080, 0x7f7f7f7f, 0x7fff8000, 0x00ff80ff, 0x0f8f3040,  // bytes
};

// 32 bits at a time: extreme ones, any, and floats around one.
template <class T>
Numbers<T> Random() {
  static std::mt19937 random(7);
  uint32_t words[16];
  for (uint32_t& word : words) {
    const auto bits = static_cast<uint32_t>(random());
    switch (random() % 3) {
      case 0: word = kExtremes[bits % std::size(kExtremes)]; break;
      case 1: word = bits; break;
      default: word = (bits & 0x83ffffff) | 0x3e000000;
    }
  }
  Numbers<T> numbers;
  std::memcpy(numbers.data(), words, sizeof words);
  return numbers;
}

void Check(const char* what, int lane, uint32_t found, uint32_t wanted) {
  if (found == wanted) return;
  std::fprintf(stderr, "%s, lane %d: found %08x, expected %08x\n", what, lane, found, wanted);
  std::exit(1);
}

// Compares floats with `wanted` of each lane. A NaN may be any other.
template <class Wanted>
void Compare(const char* what, __m512 found, Wanted wanted) {
  Numbers<float> lanes;
  _mm512_storeu_ps(lanes.data(), found);
  for (int i = 0; i < 16; ++i) {
    if (!std::isnan(lanes[i]) || !std::isnan(wanted(i)))
      Check(what, i, BitsOf(lanes[i]), BitsOf(wanted(i)));
  }
}

// Compares integers with `wanted` of each lane, whose type is theirs.
template <class Vector, class Wanted>
void Compare(const char* what, Vector found, Wanted wanted) {
  using T = decltype(wanted(0));
  T lanes[sizeof found / sizeof(T)];
  std::memcpy(lanes, &found, sizeof found);
  for (size_t i = 0; i < std::size(lanes); ++i)
    Check(what, static_cast<int>(i), static_cast<uint32_t>(lanes[i]),
          static_cast<uint32_t>(wanted(static_cast<int>(i))));
}

// The second is of lane i.
#define COMPARE(intrinsic, wanted) \
  Compare(#intrinsic, intrinsic, [&]([[maybe_unused]] int i) { return wanted; })

void TestFloats() {
  const auto x = Random<float>(), y = Random<float>(), z = Random<float>();
  const __m512 a = _mm512_loadu_ps(x.data()), b = _mm512_loadu_ps(y.data());
  const __m512 c = _mm512_loadu_ps(z.data());
  COMPARE(_mm512_set1_ps(x[3]), x[3]);
  COMPARE(_mm512_add_ps(a, b), x[i] + y[i]);
  COMPARE(_mm512_sub_ps(a, b), x[i] - y[i]);
  COMPARE(_mm512_mul_ps(a, b), x[i] * y[i]);
  COMPARE(_mm512_div_ps(a, b), x[i] / y[i]);
  COMPARE(_mm512_max_ps(a, b), x[i] > y[i] ? x[i] : y[i]);
  COMPARE(_mm512_min_ps(a, b), x[i] < y[i] ? x[i] : y[i]);
  COMPARE(_mm512_fmadd_ps(a, b, c), std::fma(x[i], y[i], z[i]));
  COMPARE(_mm512_roundscale_ps(a, kNearest), std::nearbyint(x[i]));

  alignas(64) Numbers<float> stored;
  _mm512_store_ps(stored.data(), a);
  COMPARE(a, stored[i]);

  const __mmask16 below = _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
  const __mmask16 unordered = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
  for (int i = 0; i < 16; ++i) {
    CHECK((below >> i & 1) == (x[i] < y[i]));
    CHECK((unordered >> i & 1) == (std::isnan(x[i]) || std::isnan(y[i])));
  }
  COMPARE(_mm512_mask_blend_ps(below, b, c), x[i] < y[i] ? z[i] : y[i]);
}

void TestIntegers() {
  const auto p = Random<int32_t>(), q = Random<int32_t>();
  const auto u = Random<uint32_t>(), v = Random<uint32_t>();
  const __m512i a = _mm512_loadu_si512(p.data()), b = _mm512_loadu_si512(q.data());
  const __m512i c = _mm512_loadu_si512(u.data()), d = _mm512_loadu_si512(v.data());
  COMPARE(a, p[i]);
  COMPARE(_mm512_setzero_si512(), 0);
  COMPARE(_mm512_set1_epi32(p[3]), p[3]);
  COMPARE(_mm512_and_si512(c, d), u[i] & v[i]);
  COMPARE(_mm512_or_si512(c, d), u[i] | v[i]);
  COMPARE(_mm512_add_epi32(c, d), u[i] + v[i]);
  COMPARE(_mm512_slli_epi32(c, 1), u[i] << 1);
  COMPARE(_mm512_slli_epi32(c, 23), u[i] << 23);
  COMPARE(_mm512_srli_epi32(c, 16), u[i] >> 16);
  COMPARE(_mm512_max_epi32(a, b), p[i] > q[i] ? p[i] : q[i]);
  COMPARE(_mm512_mask_mov_epi32(a, 0xb42d, b), 0xb42d >> i & 1 ? q[i] : p[i]);
  int32_t largest = p[0];
  for (const int32_t lane : p) largest = lane > largest ? lane : largest;
  CHECK(_mm512_reduce_max_epi32(a) == largest);
}

void TestBytes() {
  const auto x = Random<uint8_t>(), y = Random<uint8_t>();
  const auto words = Random<uint16_t>();
  const __m512i a = _mm512_loadu_si512(x.data()), b = _mm512_loadu_si512(y.data());
  const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x.data()));
  COMPARE(_mm512_set1_epi8(15), uint8_t{15});
  COMPARE(_mm512_srli_epi16(_mm512_loadu_si512(words.data()), 4),
          static_cast<uint16_t>(words[i] >> 4));
  COMPARE(_mm512_broadcast_i32x4(first), x[i % 16]);
  COMPARE(_mm512_shuffle_epi8(a, b),
          static_cast<uint8_t>(y[i] & 0x80 ? 0 : x[i / 16 * 16 + y[i] % 16]));
}

void TestConversions() {
  const auto x = Random<float>();
  const auto p = Random<int32_t>();
  const auto words = Random<uint16_t>();
  const auto bytes = Random<int8_t>();
  const __m512 a = _mm512_loadu_ps(x.data());
  const __m512i b = _mm512_loadu_si512(p.data());
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words.data()));
  const auto to_int = [](float value) {
    const bool fits = value >= -0x1p31f && value < 0x1p31f;
    return fits ? static_cast<int32_t>(std::nearbyint(value)) : INT32_MIN;
  };
  const auto to_half = [](float value) {
    Float16 half;
    FromFloat(value, &half);
    return half.bits;
  };
  COMPARE(_mm512_castps_si512(a), BitsOf(x[i]));
  COMPARE(_mm512_castsi512_ps(b), FloatFromBits(static_cast<uint32_t>(p[i])));
  COMPARE(_mm512_cvtps_epi32(a), to_int(x[i]));
  COMPARE(_mm512_cvtepi32_ps(b), static_cast<float>(p[i]));
  COMPARE(_mm512_cvtph_ps(halves), ToFloat(Float16{words[i]}));
  COMPARE(_mm512_cvtps_ph(a, kNearest), to_half(x[i]));
  COMPARE(_mm512_cvtepu16_epi32(halves), uint32_t{words[i]});
  COMPARE(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes.data()))),
          int32_t{bytes[i]});
  COMPARE(_mm512_cvtepi32_epi16(b), static_cast<uint16_t>(p[i]));
  COMPARE(_mm512_cvtepi32_epi8(b), static_cast<uint8_t>(p[i]));
}

struct Fours {
  Numbers<uint32_t> sums = Random<uint32_t>();
  Numbers<uint8_t> codes = Random<uint8_t>();
  Numbers<int8_t> inputs = Random<int8_t>();

  uint32_t Sum(int lane) const {
    uint32_t sum = sums[lane];
    for (int i = 4 * lane; i < 4 * lane + 4; ++i)
      sum += static_cast<uint32_t>(codes[i] * inputs[i]);
    return sum;
  }
};

struct Twos {
  Numbers<uint32_t> sums = Random<uint32_t>();
  Numbers<int16_t> words = Random<int16_t>(), inputs = Random<int16_t>();

  uint32_t Sum(int lane) const {
    uint32_t sum = sums[lane];
    for (int i = 2 * lane; i < 2 * lane + 2; ++i)
      sum += static_cast<uint32_t>(words[i] * inputs[i]);
    return sum;
  }
};

void TestVnni() {
  const Fours fours;
  const Twos twos;
  const auto load = [](const auto& numbers) { return _mm512_loadu_si512(numbers.data()); };
  COMPARE(_mm512_dpbusd_epi32(load(fours.sums), load(fours.codes), load(fours.inputs)),
          fours.Sum(i));
  COMPARE(_mm512_dpwssd_epi32(load(twos.sums), load(twos.words), load(twos.inputs)), twos.Sum(i));
}

void TestAvxVnni() {
  const Fours fours;
  const Twos twos;
  const auto load = [](const auto& numbers) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers.data()));
  };
  COMPARE(_mm256_dpbusd_avx_epi32(load(fours.sums), load(fours.codes), load(fours.inputs)),
          fours.Sum(i));
  COMPARE(_mm256_dpwssd_avx_epi32(load(twos.sums), load(twos.words), load(twos.inputs)),
          twos.Sum(i));
}

float WithoutSubnormal(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}

void TestBFloat16() {
  const auto x = Random<float>();
  const auto p = Random<uint16_t>(), q = Random<uint16_t>();
  const __m512 a = _mm512_loadu_ps(x.data());
  const __m512bh b = __m512bh(_mm512_loadu_si512(p.data()));
  const __m512bh c = __m512bh(_mm512_loadu_si512(q.data()));
  const auto add = [&](float sum, int i) {
    const float left = ToFloat(BFloat16{p[i]}), right = ToFloat(BFloat16{q[i]});
    return WithoutSubnormal(
        std::fma(WithoutSubnormal(left), WithoutSubnormal(right), WithoutSubnormal(sum)));
  };
  const auto rounded = [](float value) {
    BFloat16 to;
    FromFloat(WithoutSubnormal(value), &to);
    return to.bits;
  };
  COMPARE(_mm512_dpbf16_ps(a, b, c), add(add(x[i], 2 * i + 1), 2 * i));
  COMPARE(__m256i(_mm512_cvtneps_pbh(a)), rounded(x[i]));
}

void TestAvx512() {
  TestFloats();
  TestIntegers();
  TestBytes();
  TestConversions();
  TestVnni();
}

}  // namespace

int Test(int count, char** names) {
  const std::map<std::string, void (*)()> tests = {
      {"avx512", TestAvx512}, {"avx512_bf16", TestBFloat16}, {"avx_vnni", TestAvxVnni}};
  for (int i = 0; i < count; ++i) {
    for (int round = 0; round < kRounds; ++round) tests.at(names[i])();
    std::printf("%s: its intrinsics do what plain C++ does\n", names[i]);
  }
  return 0;
}

}  // namespace octavo::cpu

int main(int count, char** arguments) { return octavo::cpu::Test(count - 1, arguments + 1); }
