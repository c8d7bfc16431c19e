// Floats of 8 bits (e4m3) with a scale for the tensor, a row or a block.
#pragma once

#include "stored_tensor.h"

namespace octavo {

// `tensor.group` is the side of a square block that has a scale; 0: each row has one, or the whole
// tensor. Throws std::runtime_error unless the parts have the bytes that the shape asks for.
std::shared_ptr<const RowDecoder> Float8Rows(const StoredTensor& tensor);

}  // namespace octavo
