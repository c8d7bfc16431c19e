// The table of one instruction set's kernels.
#pragma once

#include "attention.h"
#include "elementwise.h"
#include "linear.h"
#include "linear_codes.h"
#include "linear_levels.h"
#include "quantize_rows.h"
#include "rope_store.h"

namespace octavo::cpu {

// V: vectors of floats; D: products of codes.
template <class V, class D>
struct Table {
  static constexpr KernelTable Named(const char* name) {
    return {name,
            Linear<V>::Run,
            Linear<V>::RoundRows,
            LinearAnyCodes<V, D>::Run,
            QuantizeRows<V, D>::PlanesOf,
            QuantizeRows<V, D>::Run,
            Norm<V>::Run,
            Activate<V>::Run,
            Scale<V>::Run,
            RopeStore<V>::Fetch,
            RopeStore<V>::Store,
            Attention<V>::AttendSpan,
            Attention<V>::CombineSpan,
            Attention<V>::Finish,
            Largest<V>::Run,
            ExpShifted<V>::Run};
  }
};

}  // namespace octavo::cpu
