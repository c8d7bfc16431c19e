// Quantised matrices in the form that the kernels read (CodesLayout).
#pragma once

#include <memory>
#include <vector>

#include "../quantized.h"
#include "packed_weight.h"

namespace octavo::cpu {

// Rows of a matrix that one source gives.
struct SourceRows {
  std::shared_ptr<const RowDecoder> decoder;
  int64_t rows = 0;
};

// The layout that holds all the sources' codes exactly.
CodesLayout LayoutOf(const Quantization& form, int cols, const std::vector<SourceRows>& sources);

// In which the sources' codes have their columns, empty for the inputs' own. Sources that differ
// in it, or in their levels, become codes of 8 bits anew, in the inputs' order: `form` and their
// decoders are then others.
std::vector<int32_t> ColumnOrderOf(std::vector<SourceRows>* sources, Quantization* form);

// Fills packed->data, which has room for the layout's panels.
void PackCodes(const Quantization& form, const std::vector<SourceRows>& sources, ThreadPool* pool,
               PackedWeight* packed);

// to[i] = row[i] × scale, for one row of a packed matrix of codes.
void UnpackCodes(const PackedWeight& weight, int row, float scale, float* to);

}  // namespace octavo::cpu
