#include "quantized.h"

#include <algorithm>
#include <cmath>

#include "cpu/half.h"

namespace octavo {
namespace {

using cpu::BFloat16;
using cpu::Float16;
using cpu::FromFloat;
using cpu::ToFloat;

constexpr int kGroupSizes[] = {16, 32, 64, 128};

template <class T>
class ElementRows : public RowDecoder {
 public:
  ElementRows(const void* data, int64_t cols)
      : RowDecoder(cols), data_(static_cast<const uint8_t*>(data)) {}

  void Numbers(int64_t row, float* to) const override {
    const uint8_t* from = data_ + static_cast<size_t>(row * cols()) * sizeof(T);
    for (int64_t i = 0; i < cols(); ++i) {
      T element;
      std::memcpy(&element, from + static_cast<size_t>(i) * sizeof(T), sizeof(T));
      to[i] = ToFloat(element);
    }
  }

 private:
  const uint8_t* data_;
};

float RoundToHalf(float value) {
  Float16 half;
  FromFloat(value, &half);
  return ToFloat(half);
}

// A scale as it is kept; the largest float16 where it would be infinite.
float KeptScale(float scale, bool half) {
  constexpr float kLargestHalf = 65504;
  return half ? RoundToHalf(std::clamp(scale, -kLargestHalf, kLargestHalf)) : scale;
}

uint8_t CodeOf(float number, float scale, float minimum, int highest) {
  if (scale == 0) return 0;
  const float code = std::nearbyint((number - minimum) / scale);
  if (!(code > 0)) return 0;  // also where the number is none
  return static_cast<uint8_t>(std::min(code, static_cast<float>(highest)));
}

struct Group {
  float scale, minimum;
};

Group Symmetric(const float* numbers, int64_t count, const Quantization& form) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(numbers[i]));
  const int middle = 1 << (form.bits - 1);
  const float scale = KeptScale(largest / static_cast<float>(middle - 1), form.group != 0);
  return {scale, -static_cast<float>(middle) * scale};
}

Group FromLeastToGreatest(const float* numbers, int64_t count, const Quantization& form) {
  const auto [least, greatest] = std::minmax_element(numbers, numbers + count);
  const bool half = form.group != 0;
  const float minimum = KeptScale(*least, half);
  const auto steps = static_cast<float>((1 << form.bits) - 1);
  return {KeptScale((*greatest - minimum) / steps, half), minimum};
}

bool IsSymmetric(const Quantization& form) { return form.bits == 8; }

}  // namespace

std::string NameOf(const Quantization& quantization) {
  const std::string bits = "int" + std::to_string(quantization.bits);
  return quantization.group == 0 ? bits : bits + "/" + std::to_string(quantization.group);
}

bool ParseQuantization(const std::string& name, Quantization* quantization) {
  for (const int bits : {8, 4}) {
    if (name == NameOf(Quantization{bits, 0})) return *quantization = {bits, 0}, true;
    for (const int group : kGroupSizes) {
      if (name == NameOf(Quantization{bits, group})) return *quantization = {bits, group}, true;
    }
  }
  return false;
}

void QuantizeRow(const float* numbers, int64_t cols, const Quantization& form, const CodeRow& to) {
  const int64_t size = form.group == 0 ? cols : form.group;
  const int highest = (1 << form.bits) - 1;
  for (int64_t first = 0, g = 0; first < cols; first += size, ++g) {
    const int64_t count = std::min(size, cols - first);
    const Group group = IsSymmetric(form) ? Symmetric(numbers + first, count, form)
                                          : FromLeastToGreatest(numbers + first, count, form);
    to.scales[g] = group.scale;
    to.minimums[g] = group.minimum;
    for (int64_t i = first; i < first + count; ++i)
      to.codes[i] = CodeOf(numbers[i], group.scale, group.minimum, highest);
  }
}

CodeTraits RowDecoder::Traits(const Quantization& form) const {
  return {IsSymmetric(form), form.group != 0};
}

void RowDecoder::Codes(int64_t row, const Quantization& form, float* scratch,
                       const CodeRow& to) const {
  Numbers(row, scratch);
  QuantizeRow(scratch, cols_, form, to);
}

std::shared_ptr<const RowDecoder> DecoderOf(const TensorView& view, int64_t cols) {
  if (view.rows != nullptr) return view.rows;
  switch (view.type) {
    case Type::kFloat32: return std::make_shared<ElementRows<float>>(view.data, cols);
    case Type::kBFloat16: return std::make_shared<ElementRows<BFloat16>>(view.data, cols);
    case Type::kFloat16: return std::make_shared<ElementRows<Float16>>(view.data, cols);
  }
  return nullptr;
}

}  // namespace octavo
