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
