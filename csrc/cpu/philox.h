// Philox4x32-10, the counter-based random generator of Salmon et al. (2011): the same key and
// counter give the same number wherever and whenever it is drawn.
#pragma once

#include <array>
#include <cstdint>

namespace octavo::cpu {

inline std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, uint32_t key0,
                                      uint32_t key1) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(a)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// Uniform in [0, 1), all 53 bits of a double.
inline double UniformOf(const std::array<uint32_t, 4>& words) {
  const uint64_t bits = uint64_t{words[0] >> 5} << 26 | words[1] >> 6;
  return static_cast<double>(bits) * (1.0 / 9007199254740992.0);
}

}  // namespace octavo::cpu
