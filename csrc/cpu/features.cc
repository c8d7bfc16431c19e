#include "features.h"

#include <cstddef>

#if defined(__x86_64__) || defined(_M_X64)
#define OCTAVO_X86 1
#if defined(_MSC_VER) && !defined(__clang__)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif
#elif defined(__aarch64__) || defined(_M_ARM64)
#define OCTAVO_ARM64 1
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif
#endif

namespace octavo::cpu {

#if defined(OCTAVO_X86) && defined(_MSC_VER) && !defined(__clang__)

Features DetectFeatures() {
  const auto bit = [](int word, int index) { return (word >> index & 1) != 0; };
  int leaf1[4], leaf7[4], leaf7_1[4];
  __cpuidex(leaf1, 1, 0);
  __cpuidex(leaf7, 7, 0);
  __cpuidex(leaf7_1, 7, 1);
  const bool saves_state = bit(leaf1[2], 27);  // OSXSAVE
  const unsigned long long enabled = saves_state ? _xgetbv(0) : 0;
  const bool ymm = (enabled & 0x6) == 0x6, zmm = (enabled & 0xe6) == 0xe6;
  Features features;
  features.avx2 = ymm && bit(leaf1[2], 12) && bit(leaf1[2], 29) && bit(leaf7[1], 5);
  features.avx_vnni = features.avx2 && bit(leaf7_1[0], 4);
  features.avx512 = features.avx2 && zmm && bit(leaf7[1], 16) && bit(leaf7[1], 17) &&
                    bit(leaf7[1], 30) && bit(leaf7[1], 31) && bit(leaf7[2], 11);
  return features;
}

#elif defined(OCTAVO_X86)

// The compiler's run-time check also asks whether the operating system saves the registers.
Features DetectFeatures() {
  Features features;
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("f16c");
  // The check of older compilers does not know AVX-VNNI.
  unsigned eax = 0, ebx, ecx, edx;
  features.avx_vnni =
      features.avx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1) != 0;
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  return features;
}

#elif defined(OCTAVO_ARM64)

Features DetectFeatures() {
  Features features;
  features.neon = true;
#if defined(__linux__)
  // Linux' ABI numbers them; the headers of older C libraries lack the second.
  constexpr unsigned long kDotprod = 1ul << 20, kI8mm = 1ul << 13;
  features.dotprod = (getauxval(AT_HWCAP) & kDotprod) != 0;
  features.i8mm = features.dotprod && (getauxval(AT_HWCAP2) & kI8mm) != 0;
#elif defined(__APPLE__)
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  features.dotprod = has("hw.optional.arm.FEAT_DotProd");
  features.i8mm = features.dotprod && has("hw.optional.arm.FEAT_I8MM");
#elif defined(_WIN32)
  constexpr unsigned long kDotprod = 43, kI8mm = 66;  // PF_ARM_V82_…, which older SDKs lack
  features.dotprod = IsProcessorFeaturePresent(kDotprod) != 0;
  features.i8mm = features.dotprod && IsProcessorFeaturePresent(kI8mm) != 0;
#endif
  return features;
}

#else

Features DetectFeatures() { return {}; }

#endif

}  // namespace octavo::cpu
