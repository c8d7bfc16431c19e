// Inputs of products of codes as signed bytes, a group of columns of a block of rows at a time.
#pragma once

#include "linear_codes.h"

namespace octavo::cpu {

// Codes are from -127 to 127: the largest magnitude of a group becomes 127.
template <class V, class D>
struct QuantizeRows {
  static constexpr float kHighest = 127;
  // Below this the reciprocal would overflow; such a group is zeros.
  static constexpr float kLeast = 1e-30f;
  static constexpr int kBlock = QuantizedRows::kBlock;

  using Chunk = int8_t[kBlock][kCodesChunk];  // columns of the rows of a block

  // NaN if there is one, whose magnitude as an integer is the largest.
  static float LargestMagnitude(const float* from, int count) {
    auto largest = D::Zero();
    for (int i = 0; i < count; i += V::kLanes)
      largest = D::Max(largest, D::Magnitudes(Math<V>::LoadFirst(from + i, count - i, 0)));
    const int32_t bits = D::Largest(largest);
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
  }

  // The codes of `count` numbers, zeros behind them.
  static void Codes(const float* from, int count, float inverse, int8_t* codes) {
    typename D::Ints rounded[kCodesChunk / V::kLanes];
    for (auto& lanes : rounded) {
      lanes = D::Rounded(Math<V>::LoadFirst(from, count, 0) * V::Set(inverse));
      from += V::kLanes, count -= V::kLanes;
    }
    D::StoreBytes(rounded, codes);
  }

  // A group of a row that is alone in its block, whose columns begin at `from`: without the detours
  // over memory that a block's rows take together.
  static void GroupOfOne(const float* from, int row, const QuantizedRows& to, int start,
                         int group) {
    const CodesLayout& layout = to.layout;
    const int column = group * layout.group;
    const int count = layout.cols - column < layout.group ? layout.cols - column : layout.group;
    const float largest = LargestMagnitude(from, count);
    const bool zero = largest < kLeast;
    const float scale = zero ? 0 : largest / kHighest, inverse = zero ? 0 : kHighest / largest;
    int32_t sum = 0;
    const int padded = RoundUp(count, layout.Step());
    for (int i = 0; i < padded; i += kCodesChunk) {
      int8_t codes[kCodesChunk];
      Codes(from + i, count - i, inverse, codes);
      for (const int8_t code : codes) sum += code;
      const int columns = padded - i < kCodesChunk ? padded - i : kCodesChunk;
      int8_t* fours = to.CodesOf(row, column + i);
      for (int c = 0; c < columns; c += 4) std::memcpy(fours + c * kBlock, codes + c, 4);
    }
    QuantizedRows::Group& numbers = to.GroupsOf(row)[group];
    numbers.scales[0] = scale;
    numbers.sums[0] = scale * static_cast<float>(sum);
    numbers.starts[0] = start * sum;
  }

  // A group of rows [first, first + rows) of one block, whose columns begin at `from`. Rows beyond
  // get codes too, of no meaning.
  static void Group(const float* from, int first, int rows, const QuantizedRows& to, int start,
                    int group, Chunk& codes) {
    const CodesLayout& layout = to.layout;
    const int column = group * layout.group;
    const int count = layout.cols - column < layout.group ? layout.cols - column : layout.group;
    float largest[kBlock] = {}, inverses[kBlock];
    for (int r = 0; r < rows; ++r)
      largest[r] = LargestMagnitude(from + int64_t{r} * layout.cols, count);
    QuantizedRows::Group& numbers = to.GroupsOf(first)[group];
    for (int r = 0; r < kBlock; ++r) {
      const bool zero = largest[r] < kLeast;
      inverses[r] = zero ? 0 : kHighest / largest[r];
      numbers.scales[r] = zero ? 0 : largest[r] / kHighest;
    }
    int32_t sums[kBlock] = {};
    const int padded = RoundUp(count, layout.Step());
    for (int i = 0; i < padded; i += kCodesChunk) {
      for (int r = 0; r < rows; ++r)
        Codes(from + int64_t{r} * layout.cols + i, count - i, inverses[r], codes[r]);
      const int columns = padded - i < kCodesChunk ? padded - i : kCodesChunk;
      D::StoreFours(codes, columns, to.CodesOf(first, column + i), sums);
    }
    for (int r = 0; r < kBlock; ++r) {
      numbers.sums[r] = numbers.scales[r] * static_cast<float>(sums[r]);
      numbers.starts[r] = start * sums[r];
    }
  }

  // first_row begins a block.
  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    const CodesLayout& layout = to.layout;
    const int lowered =
        layout.bits == 8 ? D::template Dot<8>::kLowered : D::template Dot<4>::kLowered;
    const int start = StartOf(layout.Middle(), layout.symmetric, lowered);
    Chunk codes = {};
    for (int first = first_row; first < last_row; first += kBlock) {
      const int rows = last_row - first < kBlock ? last_row - first : kBlock;
      const float* from = input + int64_t{first} * layout.cols;
      for (int r = 0; r < rows; ++r) to.row_sums[first + r] = 0;
      for (int group = 0; group < layout.Groups(); ++group, from += layout.group) {
        if (rows == 1)
          GroupOfOne(from, first, to, start, group);
        else
          Group(from, first, rows, to, start, group, codes);
        const float* sums = to.GroupsOf(first)[group].sums;
        for (int r = 0; r < rows; ++r) to.row_sums[first + r] += sums[r];
      }
    }
  }
};

}  // namespace octavo::cpu
