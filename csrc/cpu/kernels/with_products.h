// A table of kernels with other products of codes.
#pragma once

#include "code_products.h"
#include "linear_levels.h"
#include "quantize_rows.h"

namespace octavo::cpu {

// What `base` has, save products of codes: those are D's, for vectors of floats V.
template <class V, class D>
KernelTable WithProducts(const KernelTable* base, const char* name) {
  KernelTable table = *base;
  table.name = name;
  table.linear_codes = LinearAnyCodes<V, D>::Run;
  table.planes_of = QuantizeRows<V, D>::PlanesOf;
  table.quantize_rows = QuantizeRows<V, D>::Run;
  return table;
}

}  // namespace octavo::cpu
