// Some rows of a decoder's, in another order.
#pragma once

#include <utility>
#include <vector>

#include "../quantized.h"

namespace octavo {

class SelectedRows : public RowDecoder {
 public:
  // Row i is row rows[i] of `all`.
  SelectedRows(std::shared_ptr<const RowDecoder> all, std::vector<int64_t> rows)
      : RowDecoder(all->cols()), all_(std::move(all)), rows_(std::move(rows)) {}

  void Numbers(int64_t row, float* to) const override { all_->Numbers(At(row), to); }
  CodeTraits Traits(const Quantization& form) const override { return all_->Traits(form); }
  void Codes(int64_t row, const Quantization& form, float* scratch,
             const CodeRow& to) const override {
    all_->Codes(At(row), form, scratch, to);
  }

  const std::vector<int32_t>* ColumnOrder() const override { return all_->ColumnOrder(); }

 private:
  int64_t At(int64_t row) const { return rows_[static_cast<size_t>(row)]; }

  std::shared_ptr<const RowDecoder> all_;
  std::vector<int64_t> rows_;
};

}  // namespace octavo
