// Codes of 4 bits that choose one of 16 uneven levels: bitsandbytes' nf4 and fp4, and the MXFP4 of
// safetensors.
#pragma once

#include "stored_tensor.h"

namespace octavo {

// Whether an encoding's name is one of these: levels4, mxfp4_pairs.
bool IsLevels(const std::string& encoding);

// levels4: `tensor.group` neighbouring numbers of the whole matrix share a scale, also across rows.
// Parts are "levels" (16 float32) and "scales" (float32; or bytes that choose one of 256
// "scaleLevels", times a float32 of "scaleScales" for every 256 of them, plus tensor.offset). The
// first of two numbers is the high half of a byte.
// mxfp4_pairs: 32 columns share a power of two ("scales"); the first number is the low half.
// Throws std::runtime_error unless the parts have the bytes that the shape asks for.
std::shared_ptr<const RowDecoder> LevelRows(const StoredTensor& tensor);

}  // namespace octavo
