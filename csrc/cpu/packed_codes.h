// Quantised matrices in the form that the kernels read (CodesLayout).
#pragma once

#include <vector>

#include "packed_weight.h"

namespace octavo::cpu {

// The layout that holds all the sources' codes exactly.
CodesLayout LayoutOf(const Quantization& form, int cols, const std::vector<SourceRows>& sources);

// In which the sources' codes have their columns, empty for the inputs' own. Sources that differ
// in it, or in their levels, become codes of 8 bits anew, in the inputs' order: `form` and their
// decoders are then others.
std::vector<int32_t> ColumnOrderOf(std::vector<SourceRows>* sources, Quantization* form);

// Fills the bytes of one panel, which are zeroed.
void PackCodes(const Quantization& form, const std::vector<SourceRows>& sources,
               const PackedWeight& packed, int panel, uint8_t* to);

// to[i] = row[i] × scale, for one row of a packed matrix of codes.
void UnpackCodes(const PackedWeight& weight, int row, float scale, float* to);

}  // namespace octavo::cpu
