#include "stored_tensor.h"

#include <stdexcept>

#include "float8_rows.h"
#include "ggml_blocks.h"
#include "level_rows.h"
#include "packed_integers.h"
#include "torchao_rows.h"

namespace octavo {

std::shared_ptr<const RowDecoder> StoredRows(const StoredTensor& tensor) {
  if (IsPackedIntegers(tensor.encoding)) return PackedIntegerRows(tensor);
  if (tensor.encoding == "float8") return Float8Rows(tensor);
  if (IsLevels(tensor.encoding)) return LevelRows(tensor);
  if (tensor.encoding == "torchao4") return TorchaoRows(tensor);
  const uint64_t row_bytes = GgmlRowBytes(tensor.encoding, tensor.cols);
  if (row_bytes == 0)
    throw std::runtime_error("rows of " + std::to_string(tensor.cols) + " in the form '" +
                             tensor.encoding + "' are not known");
  if (tensor.codes.bytes != row_bytes * static_cast<uint64_t>(tensor.rows))
    throw std::runtime_error(std::to_string(tensor.codes.bytes) + " bytes, expected " +
                             std::to_string(tensor.rows) + " rows of " + std::to_string(row_bytes));
  return GgmlRows(tensor.encoding, tensor.codes.data, tensor.cols);
}

}  // namespace octavo
