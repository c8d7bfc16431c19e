// What compilers have to be told. They unroll loops of a few instructions and inline small
// functions themselves, but not a step of columns: its sums would lie in memory. A loop that wants
// all registers is a function of its own, which shares them with no caller. And GCC takes a
// function that only prefetches for one without effects: unless it is inlined at once, calls of it
// are dropped. Vectors that are arrays of plain C++ have nothing to keep in registers: unrolled,
// their code outgrows the caches, takes GCC 12 minutes, and attention's is wrong. Their file says
// so by OCTAVO_PLAIN.
#pragma once

#if defined(__clang__)
#define OCTAVO_UNROLLED _Pragma("unroll")
#define OCTAVO_INLINE inline __attribute__((always_inline))
#define OCTAVO_ALONE __attribute__((noinline))
#elif defined(__GNUC__)
#define OCTAVO_UNROLLED _Pragma("GCC unroll 16")
#define OCTAVO_INLINE inline __attribute__((always_inline))
#define OCTAVO_ALONE __attribute__((noinline))
#else
#define OCTAVO_UNROLLED
#define OCTAVO_INLINE __forceinline
#define OCTAVO_ALONE __declspec(noinline)
#endif
#if defined(OCTAVO_PLAIN)
#define OCTAVO_UNROLL
#else
#define OCTAVO_UNROLL OCTAVO_UNROLLED
#endif

// Extensions that a file is compiled for. MSVC has their intrinsics without flags.
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(__AVX2__)
#define OCTAVO_AVX_VNNI 1
#elif defined(_M_ARM64)
#define OCTAVO_DOTPROD 1
#endif
#else
#if defined(__AVXVNNI__)
#define OCTAVO_AVX_VNNI 1
#endif
#if defined(__ARM_FEATURE_DOTPROD)
#define OCTAVO_DOTPROD 1
#endif
#endif
