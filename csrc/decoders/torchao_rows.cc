#include "torchao_rows.h"

#include "scales.h"
#include "stored_codes.h"

namespace octavo {
namespace {

class TorchaoDecoder : public StoredCodes {
 public:
  explicit TorchaoDecoder(const StoredTensor& tensor)
      : StoredCodes(tensor.cols, {4, static_cast<int>(tensor.group)}),
        data_(tensor.codes.data),
        rows_(tensor.rows),
        groups_(tensor.group == 0 ? 1 : (tensor.cols + tensor.group - 1) / tensor.group),
        scales_(tensor.Part("scales"), rows_ * groups_),
        zeros_(tensor.Part("zeros"), rows_ * groups_) {
    if (tensor.cols % 2 != 0 ||
        tensor.codes.bytes != static_cast<uint64_t>(tensor.rows * tensor.cols / 2))
      throw std::runtime_error(std::to_string(tensor.codes.bytes) + " bytes for rows of " +
                               std::to_string(tensor.cols) + " numbers of 4 bits");
  }

 protected:
  void Decode(int64_t row, const CodeRow& to) const override {
    constexpr int kMiddle = 8;
    const uint8_t* from = data_ + row * cols() / 2;
    for (int64_t i = 0; i < cols(); ++i)
      to.codes[i] = static_cast<uint8_t>((from[i / 2] >> i % 2 * 4 & 15) ^ kMiddle);
    for (int64_t group = 0; group < groups_; ++group) {
      const int64_t at = group * rows_ + row;
      to.scales[group] = scales_[at];
      to.minimums[group] = zeros_[at] - kMiddle * scales_[at];
    }
  }
  CodeTraits StoredTraits() const override { return {false, false}; }

 private:
  const uint8_t* data_;
  int64_t rows_, groups_;
  Scales scales_, zeros_;
};

}  // namespace

std::shared_ptr<const RowDecoder> TorchaoRows(const StoredTensor& tensor) {
  return std::make_shared<TorchaoDecoder>(tensor);
}

}  // namespace octavo
