// The intrinsics of x86.
#pragma once

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined operand that its own header passes on purpose for a mistake of ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
