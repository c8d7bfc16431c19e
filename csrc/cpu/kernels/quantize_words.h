// Inputs of products of words: whole numbers of 13 bits, a group of columns of a block of rows at a
// time. They are so fine that no outliers are kept out of them.
#pragma once

#include <cstring>

#include "../kernels.h"
#include "vector_math.h"

namespace octavo::cpu {

template <class V, class D>
struct Magnitude {
  // Below this the reciprocal would overflow; such a group is zeros.
  static constexpr float kLeast = 1e-30f;

  // The largest; NaN if there is one, whose magnitude as an integer is the largest.
  static float Of(const float* from, int count) {
    auto largest = D::Zero();
    for (int i = 0; i < count; i += V::kLanes)
      largest = D::Max(largest, D::Magnitudes(Math<V>::LoadFirst(from + i, count - i, 0)));
    const int32_t bits = D::Largest(largest);
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
  }
};

template <class V, class D>
struct QuantizeWords {
  static constexpr int kBlock = QuantizedRows::kBlock;
  static constexpr int kGroup = CodesLayout::kWholeRowGroup;
  static constexpr float kHighest = CodesLayout::kMostInputWord;
  static_assert(kGroup == kCodesChunk, "a group is what is rounded at once");

  // The words of `count` numbers, zeros behind them. Returns their scale.
  static float Words(const float* from, int count, int16_t (&words)[kGroup]) {
    const float largest = Magnitude<V, D>::Of(from, count);
    const bool zero = largest < Magnitude<V, D>::kLeast;
    const V inverse = V::Set(zero ? 0 : kHighest / largest);
    typename D::Ints rounded[kGroup / V::kLanes];
    for (int i = 0; i < kGroup / V::kLanes; ++i) {
      const int first = i * V::kLanes;
      rounded[i] = D::Rounded(Math<V>::LoadFirst(from + first, count - first, 0) * inverse);
    }
    D::StoreWords(rounded, words);
    return zero ? 0 : largest / kHighest;
  }

  // first_row begins a block.
  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    const CodesLayout& layout = to.layout;
    for (int row = first_row; row < last_row; ++row) {
      const float* from = input + int64_t{row} * layout.cols;
      QuantizedRows::Group* group = to.GroupsOf(row);
      for (int column = 0; column < layout.cols; column += kGroup, ++group) {
        int16_t words[kGroup];
        const int left = layout.cols - column;
        group->scales[row % kBlock] = Words(from + column, left < kGroup ? left : kGroup, words);
        int8_t* at = to.CodesOf(row, column);
        for (int i = 0; i < kGroup; i += 2, at += kBlock * 4) std::memcpy(at, words + i, 4);
      }
    }
  }
};

}  // namespace octavo::cpu
