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

bool IsSymmetric(const Quantization& form) { return form.bits == 8 || form.levels; }

void QuantizeToLevels(const float* numbers, int64_t count, const CodeLevels& levels, uint8_t* codes,
                      Group* group) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(numbers[i]));
  group->scale = largest * levels.step;
  group->minimum = -CodeLevels::kMiddle * group->scale;
  const auto distance = [&](float number, uint16_t whole) {
    return std::fabs(number - static_cast<float>(whole - CodeLevels::kMiddle) * group->scale);
  };
  for (int64_t i = 0; i < count; ++i) {
    const auto nearest = std::min_element(
        levels.whole.begin(), levels.whole.end(),
        [&](uint16_t a, uint16_t b) { return distance(numbers[i], a) < distance(numbers[i], b); });
    codes[i] = static_cast<uint8_t>(nearest - levels.whole.begin());
  }
}

}  // namespace

CodeLevels NearestLevels(const std::array<float, CodeLevels::kCount>& numbers) {
  float largest = 0;
  for (const float number : numbers) largest = std::max(largest, std::fabs(number));
  CodeLevels best{{}, 1};
  best.whole.fill(CodeLevels::kMiddle);
  float least = HUGE_VALF;
  if (!(largest > 0) || std::isinf(largest)) return best;
  for (int highest = CodeLevels::kMiddle - 1; highest >= CodeLevels::kMiddle / 2; --highest) {
    const auto steps = static_cast<float>(highest) / largest;
    float error = 0;
    for (const float number : numbers) {
      const float whole = number * steps;
      error += (whole - std::nearbyint(whole)) * (whole - std::nearbyint(whole));
    }
    if (!(error < least)) continue;  // also where a number is none
    least = error;
    best.step = 1 / steps;
    for (size_t i = 0; i < numbers.size(); ++i)
      best.whole[i] = static_cast<uint16_t>(CodeLevels::kMiddle + std::lrint(numbers[i] * steps));
  }
  return best;
}

const CodeLevels& NormalLevels() {
  static const CodeLevels levels = NearestLevels(
      {-1, -0.6961928f, -0.52507305f, -0.39491749f, -0.28444138f, -0.18477343f, -0.091050036f, 0,
       0.0795803f, 0.1609302f, 0.2461123f, 0.33791524f, 0.44070983f, 0.562617f, 0.72295684f, 1});
  return levels;
}

std::string NameOf(const Quantization& quantization) {
  const std::string bits =
      (quantization.levels ? "levels" : "int") + std::to_string(quantization.bits);
  return quantization.group == 0 ? bits : bits + "/" + std::to_string(quantization.group);
}

bool ParseQuantization(const std::string& name, Quantization* quantization) {
  if (const Quantization words{16, 0}; name == NameOf(words)) return *quantization = words, true;
  for (const int bits : {8, 4}) {
    const auto is = [&](const Quantization& known) { return name == NameOf(known); };
    if (is({bits, 0})) return *quantization = {bits, 0}, true;
    for (const int group : kGroupSizes) {
      if (is({bits, group})) return *quantization = {bits, group}, true;
      if (bits == 4 && is({bits, group, true})) return *quantization = {bits, group, true}, true;
    }
  }
  return false;
}

void QuantizeRow(const float* numbers, int64_t cols, const Quantization& form, const CodeRow& to) {
  const int64_t size = form.group == 0 ? cols : form.group;
  const int highest = (1 << form.bits) - 1;
  for (int64_t first = 0, g = 0; first < cols; first += size, ++g) {
    const int64_t count = std::min(size, cols - first);
    Group group;
    if (form.levels) {
      QuantizeToLevels(numbers + first, count, NormalLevels(), to.codes + first, &group);
    } else {
      group = IsSymmetric(form) ? Symmetric(numbers + first, count, form)
                                : FromLeastToGreatest(numbers + first, count, form);
      for (int64_t i = first; i < first + count; ++i)
        to.codes[i] = CodeOf(numbers[i], group.scale, group.minimum, highest);
    }
    to.scales[g] = group.scale;
    to.minimums[g] = group.minimum;
  }
}

CodeTraits RowDecoder::Traits(const Quantization& form) const {
  if (form.levels) return {true, false, &NormalLevels()};
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
