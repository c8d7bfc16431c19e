// Rows that a checkpoint stores as codes already.
#pragma once

#include "../quantized.h"

namespace octavo {

// A decoder of stored codes tells the form that holds them exactly, and decodes rows in it. Every
// form with at least as many bits, and groups that the stored ones consist of, holds them too.
class StoredCodes : public RowDecoder {
 public:
  // `form.group` may be any number of columns here, not only what a packed weight may have.
  StoredCodes(int64_t cols, const Quantization& form) : RowDecoder(cols), form_(form) {}

  void Numbers(int64_t row, float* to) const override;
  CodeTraits Traits(const Quantization& form) const override;
  void Codes(int64_t row, const Quantization& form, float* scratch,
             const CodeRow& to) const override;

 protected:
  // The row's codes in ColumnOrder, and the scales and minimums of its stored groups.
  virtual void Decode(int64_t row, const CodeRow& to) const = 0;
  // Of the form that is stored.
  virtual CodeTraits StoredTraits() const = 0;

 private:
  bool Holds(const Quantization& form) const;
  int64_t GroupSize() const { return form_.group == 0 ? cols() : form_.group; }

  Quantization form_;
};

}  // namespace octavo
