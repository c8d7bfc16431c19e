// torchao's plain numbers of 4 bits (Int4Tensor).
#pragma once

#include "stored_tensor.h"

namespace octavo {

// Two signed codes a byte, the first in the low half; parts "scales" and "zeros" are [groups, rows]
// of floats: number = scale × code + zero. Throws std::runtime_error unless the parts have the
// bytes that the shape asks for.
std::shared_ptr<const RowDecoder> TorchaoRows(const StoredTensor& tensor);

}  // namespace octavo
