#include "packed_words.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "half.h"

namespace octavo::cpu {
namespace {

constexpr size_t kPairBytes = 2 * sizeof(int16_t);

// Where two neighbouring words of a panel's row lie.
size_t PairAt(const CodesLayout& layout, int k, int row) {
  return layout.HeaderBytes() + (static_cast<size_t>(k) / 2 * kPanel + row) * kPairBytes;
}

// NaN if there is one, whose magnitude as an integer is the largest.
float LargestMagnitude(const float* numbers, int count) {
  int32_t largest = 0;
  for (int i = 0; i < count; ++i)
    largest = std::max(largest, static_cast<int32_t>(BitsOf(numbers[i]) & 0x7fffffffu));
  return FloatFromBits(static_cast<uint32_t>(largest));
}

// The nearest words of a row's numbers, and their scale. All are zero where the scale is too small
// to divide by, or where a number is infinite or none, as the scale is then. Loops that compilers
// make vectors of.
float WordsOf(const float* numbers, int count, int16_t* words) {
  constexpr float kWhole = 3 << 22;  // leaves a sum no room for a fraction
  const float scale = LargestMagnitude(numbers, count) / CodesLayout::kMostWord;
  using Limits = std::numeric_limits<float>;
  if (!(scale >= Limits::min() && scale <= Limits::max())) {
    std::fill_n(words, count, int16_t{0});
    return scale;
  }
  for (int i = 0; i < count; ++i) {
    const float word = numbers[i] / scale + kWhole - kWhole;
    words[i] = static_cast<int16_t>(static_cast<int32_t>(word));
  }
  return scale;
}

}  // namespace

void PackWords(const std::vector<SourceRows>& sources, const PackedWeight& packed, int panel,
               uint8_t* to) {
  const CodesLayout& layout = packed.codes;
  const int stride = layout.Padded();
  std::vector<float> numbers(static_cast<size_t>(layout.cols));
  std::vector<int16_t> words(static_cast<size_t>(stride) * kPanel);
  float* scales = reinterpret_cast<float*>(to);
  ForRowsOf(panel, packed, sources, [&](int column, const RowDecoder& decoder, int64_t row) {
    decoder.Numbers(row, numbers.data());
    scales[column] = WordsOf(numbers.data(), layout.cols, &words[column * stride]);
  });
  for (int k = 0; k < stride; k += 2, to += kPanel * kPairBytes) {
    for (int row = 0; row < kPanel; ++row)
      std::memcpy(to + PairAt(layout, 0, row), &words[row * stride + k], kPairBytes);
  }
}

void UnpackWords(const CodesLayout& layout, const uint8_t* panel, int row, float scale, float* to) {
  const float step = reinterpret_cast<const float*>(panel)[row];
  for (int k = 0; k < layout.cols; k += 2) {
    int16_t pair[2];
    std::memcpy(pair, panel + PairAt(layout, k, row), kPairBytes);
    for (int j = 0; j < 2 && k + j < layout.cols; ++j) to[k + j] = step * pair[j] * scale;
  }
}

}  // namespace octavo::cpu
