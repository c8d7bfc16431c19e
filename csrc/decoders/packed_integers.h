// Integers of 4 or 8 bits with a scale and perhaps a zero point a group: GPTQ, AWQ, and what
// compressed-tensors calls pack-quantized and int-quantized, and bitsandbytes' and torchao's bytes.
#pragma once

#include "stored_tensor.h"

namespace octavo {

// Whether an encoding's name is one of these: gptq4, gptq_v2_8, awq4, packed4, int8, …
bool IsPackedIntegers(const std::string& encoding);

// Throws std::runtime_error unless the parts have the bytes that the shape asks for.
std::shared_ptr<const RowDecoder> PackedIntegerRows(const StoredTensor& tensor);

}  // namespace octavo
