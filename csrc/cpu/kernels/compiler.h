// What compilers have to be told. They unroll loops of a few instructions and inline small
// functions themselves, but not a step of columns: its sums would lie in memory. And GCC takes a
// function that only prefetches for one without effects: unless it is inlined at once, calls of it
// are dropped.
#pragma once

#if defined(__clang__)
#define OCTAVO_UNROLL _Pragma("unroll")
#define OCTAVO_INLINE inline __attribute__((always_inline))
#elif defined(__GNUC__)
#define OCTAVO_UNROLL _Pragma("GCC unroll 16")
#define OCTAVO_INLINE inline __attribute__((always_inline))
#else
#define OCTAVO_UNROLL
#define OCTAVO_INLINE __forceinline
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
