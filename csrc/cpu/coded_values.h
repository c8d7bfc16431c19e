// Which values of a plan lie in the arena as codes.
#pragma once

#include <map>

#include "../plan.h"
#include "packed_file.h"

namespace octavo::cpu {

// What norms and activations make for products of codes alone: it is quantised while it is in the
// caches, in place of being written, waited for and read again. By value id, the layout of a matrix
// that reads it; all others that do want the same codes.
std::map<int, CodesLayout> CodedValues(const Plan& plan, const PackedWeights& weights,
                                       const KernelTable& kernels);

}  // namespace octavo::cpu
