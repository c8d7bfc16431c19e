// The table of one instruction set's kernels.
#pragma once

#include "attention.h"
#include "elementwise.h"
#include "linear.h"

namespace octavo::cpu {

template <class V>
struct Table {
  static constexpr KernelTable Named(const char* name) {
    return {name,
            Linear<V>::Run,
            Norm<V>::Run,
            Activate<V>::Run,
            RopeStore<V>::Run,
            Attention<V>::AttendSpan,
            Attention<V>::CombineSpan,
            Attention<V>::Finish,
            Largest<V>::Run,
            ExpShifted<V>::Run};
  }
};

}  // namespace octavo::cpu
