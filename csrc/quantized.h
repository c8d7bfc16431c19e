// Rows of checkpoint tensors in whatever form they are stored, as numbers or as codes. Packing a
// weight reads its sources through this only, so that a new encoding is one more RowDecoder.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tensor.h"

namespace octavo {

// Sixteen uneven numbers that codes of 4 bits choose from, as whole numbers of 14 bits: number =
// step × (whole[code] − kMiddle). A step is at most 1/4096 of the largest magnitude.
struct CodeLevels {
  static constexpr int kCount = 16, kMiddle = 1 << 13;

  std::array<uint16_t, kCount> whole;
  float step;
};

// Those nearest to 16 numbers, exactly where a step makes all of them.
CodeLevels NearestLevels(const std::array<float, CodeLevels::kCount>& numbers);

// Quantiles of the normal distribution (bitsandbytes' nf4), for matrices that bring no levels.
const CodeLevels& NormalLevels();

// One row as codes: number = scale × code + minimum, a scale and a minimum a group of columns. With
// levels it is scale × whole[code] + minimum, and the minimum is −kMiddle × scale.
struct CodeRow {
  uint8_t* codes = nullptr;   // [cols], one a byte also where they have 4 bits
  float* scales = nullptr;    // [groups]; a last group may be short
  float* minimums = nullptr;  // [groups]
};

// What holds for all groups of a tensor; it makes packed weights smaller.
struct CodeTraits {
  bool symmetric = false;              // every minimum is exactly -2^(bits - 1) × its scale
  bool half = false;                   // scales and minimums are float16 numbers
  const CodeLevels* levels = nullptr;  // not null in a form of levels
};

// What a code is a scale's factor of.
inline float ValueOf(uint8_t code, const CodeTraits& traits) {
  return traits.levels == nullptr ? code : traits.levels->whole[code];
}

inline int64_t GroupsOf(const Quantization& form, int64_t cols) {
  return form.group == 0 ? 1 : (cols + form.group - 1) / form.group;
}

// The rows of a matrix of `cols` columns. Made over mapped bytes that are checked before: its
// functions do not throw, and several threads call them at once.
class RowDecoder {
 public:
  explicit RowDecoder(int64_t cols) : cols_(cols) {}
  virtual ~RowDecoder() = default;
  RowDecoder(const RowDecoder&) = delete;
  RowDecoder& operator=(const RowDecoder&) = delete;

  int64_t cols() const { return cols_; }

  // to[0, cols)
  virtual void Numbers(int64_t row, float* to) const = 0;

  // A decoder of stored codes overrides the next two for the form that it holds, and leaves every
  // other form to these: they quantise the numbers.
  virtual CodeTraits Traits(const Quantization& form) const;
  // `scratch` holds cols floats.
  virtual void Codes(int64_t row, const Quantization& form, float* scratch,
                     const CodeRow& to) const;
  // Not null: Codes gives the row's columns in this order, so that each group lies together.
  virtual const std::vector<int32_t>* ColumnOrder() const { return nullptr; }

 private:
  int64_t cols_;
};

// Quantises a row. 8 bits: symmetric, the largest magnitude becomes code 128 ± 127. 4 bits: from
// the least to the greatest number of a group (Q4_1). Scales of groups are float16 numbers. Levels:
// the nearest of NormalLevels, the largest magnitude being the last.
void QuantizeRow(const float* numbers, int64_t cols, const Quantization& form, const CodeRow& to);

// The rows of `view`, a matrix of `cols` columns: its own decoder, or one of its elements.
std::shared_ptr<const RowDecoder> DecoderOf(const TensorView& view, int64_t cols);

}  // namespace octavo
