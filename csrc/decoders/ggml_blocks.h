// The block formats of GGUF files.
#pragma once

#include <memory>
#include <string>

#include "../quantized.h"

namespace octavo {

// Bytes of a row of `cols` columns in a format such as "q4_k"; 0 if there is no such format or its
// blocks do not divide the row.
uint64_t GgmlRowBytes(const std::string& format, int64_t cols);

// The rows of a matrix in a format that there is; `data` holds them one behind the other.
std::shared_ptr<const RowDecoder> GgmlRows(const std::string& format, const uint8_t* data,
                                           int64_t cols);

}  // namespace octavo
