#include "isa.h"

#include <stdexcept>

#if defined(__x86_64__) || defined(_M_X64)
#define OCTAVO_X86 1
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#endif
#endif

namespace octavo::cpu {
namespace {

#if defined(OCTAVO_X86)

struct Features {
  bool avx2 = false, avx512 = false, avx512_bf16 = false;
};

#if defined(_MSC_VER) && !defined(__clang__)

Features Detect() {
  const auto bit = [](int word, int index) { return (word >> index & 1) != 0; };
  int leaf1[4], leaf7[4];
  __cpuidex(leaf1, 1, 0);
  __cpuidex(leaf7, 7, 0);
  const bool saves_state = bit(leaf1[2], 27);  // OSXSAVE
  const unsigned long long enabled = saves_state ? _xgetbv(0) : 0;
  const bool ymm = (enabled & 0x6) == 0x6, zmm = (enabled & 0xe6) == 0xe6;
  Features features;
  features.avx2 = ymm && bit(leaf1[2], 12) && bit(leaf1[2], 29) && bit(leaf7[1], 5);
  features.avx512 = features.avx2 && zmm && bit(leaf7[1], 16) && bit(leaf7[1], 17) &&
                    bit(leaf7[1], 30) && bit(leaf7[1], 31) && bit(leaf7[2], 11);
  return features;
}

#else

// The compiler's run-time check also asks whether the operating system saves the registers.
Features Detect() {
  Features features;
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("f16c");
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  return features;
}

#endif
#endif

std::vector<const KernelTable*> Tables() {
  std::vector<const KernelTable*> tables;
#if defined(OCTAVO_X86)
  const Features features = Detect();
  if (features.avx512_bf16 && Avx512Bf16Kernels() != nullptr) tables.push_back(Avx512Bf16Kernels());
  if (features.avx512 && Avx512Kernels() != nullptr) tables.push_back(Avx512Kernels());
  if (features.avx2 && Avx2Kernels() != nullptr) tables.push_back(Avx2Kernels());
#endif
  if (NeonKernels() != nullptr) tables.push_back(NeonKernels());
  tables.push_back(PortableKernels());
  return tables;
}

}  // namespace

std::vector<std::string> InstructionSets() {
  std::vector<std::string> names;
  for (const KernelTable* table : Tables()) names.emplace_back(table->name);
  return names;
}

const KernelTable* KernelsFor(const std::string& isa) {
  std::string choices;
  for (const KernelTable* table : Tables()) {
    if (isa.empty() || isa == table->name) return table;
    choices += (choices.empty() ? "" : ", ") + std::string(table->name);
  }
  throw std::runtime_error("instruction set '" + isa + "' is not available here; expected one of " +
                           choices);
}

}  // namespace octavo::cpu
