// Matrices of words, whole numbers of 15 bits with a scale for each row, in the form that the
// kernels read (CodesLayout). They are made of numbers, whatever is stored.
#pragma once

#include <vector>

#include "packed_weight.h"

namespace octavo::cpu {

// Fills the bytes of one panel, which are zeroed.
void PackWords(const std::vector<SourceRows>& sources, const PackedWeight& packed, int panel,
               uint8_t* to);

// to[i] = row[i] × scale, for one row of a panel.
void UnpackWords(const CodesLayout& layout, const uint8_t* panel, int row, float scale, float* to);

}  // namespace octavo::cpu
