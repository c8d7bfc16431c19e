#include "float8_rows.h"

#include <array>
#include <cmath>
#include <stdexcept>

#include "scales.h"

namespace octavo {
namespace {

// One sign bit, four of the exponent (bias 7), three of the fraction; no infinities.
float FromFloat8(int bits) {
  const int exponent = bits >> 3 & 15, fraction = bits & 7;
  if (exponent == 15 && fraction == 7) return std::nanf("");
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(fraction), -9)
                              : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

std::array<float, 256> AllNumbers() {
  std::array<float, 256> numbers;
  for (int bits = 0; bits < 256; ++bits) numbers[static_cast<size_t>(bits)] = FromFloat8(bits);
  return numbers;
}

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Its codes in any form are the numbers quantised anew: their steps are not even.
class Float8 : public RowDecoder {
 public:
  explicit Float8(const StoredTensor& tensor)
      : RowDecoder(tensor.cols),
        data_(tensor.codes.data),
        block_rows_(tensor.group == 0 ? 1 : tensor.group),
        block_cols_(tensor.group == 0 ? tensor.cols : tensor.group),
        blocks_(DivideUp(tensor.cols, block_cols_)),
        scales_(tensor.Part("scales"), blocks_ * DivideUp(tensor.rows, block_rows_)) {
    if (tensor.codes.type != "F8_E4M3")
      throw std::runtime_error("floats of type " + tensor.codes.type + ", expected F8_E4M3");
    if (tensor.codes.bytes != static_cast<uint64_t>(tensor.rows * tensor.cols))
      throw std::runtime_error(std::to_string(tensor.codes.bytes) + " bytes for " +
                               std::to_string(tensor.rows * tensor.cols) + " numbers");
  }

  void Numbers(int64_t row, float* to) const override {
    static const std::array<float, 256> numbers = AllNumbers();
    const uint8_t* from = data_ + row * cols();
    const int64_t first_scale = row / block_rows_ * blocks_;
    for (int64_t i = 0; i < cols(); ++i)
      to[i] = numbers[from[i]] * scales_[first_scale + i / block_cols_];
  }

 private:
  const uint8_t* data_;
  int64_t block_rows_, block_cols_;
  int64_t blocks_;  // in a row
  Scales scales_;
};

}  // namespace

std::shared_ptr<const RowDecoder> Float8Rows(const StoredTensor& tensor) {
  return std::make_shared<Float8>(tensor);
}

}  // namespace octavo
