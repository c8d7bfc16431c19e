// Inputs of products of codes as signed bytes, a group of columns of a block of rows at a time.
#pragma once

#include <cmath>
#include <cstring>

#include "linear_codes.h"
#include "quantize_words.h"

namespace octavo::cpu {

// Codes are from -127 to 127: the largest magnitude of a group becomes 127. A row of a model's
// inputs has some numbers that are ten times their neighbours and more, and what these lose by that
// is most of what codes cost; so a few numbers are left out, as zeros, and multiplied as they are.
template <class V, class D>
struct QuantizeRows {
  static constexpr float kHighest = 127;
  static constexpr float kLeast = Magnitude<V, D>::kLeast;
  static constexpr int kBlock = QuantizedRows::kBlock;

  // Of an outlier: a group loses two bits by less.
  static constexpr float kApart = 4;

  using Outliers = QuantizedRows::Outliers;
  using Chunk = int8_t[kBlock][kCodesChunk];  // columns of the rows of a block

  // The codes of `count` numbers, zeros behind them.
  static void Codes(const float* from, int count, float inverse, int8_t* codes) {
    typename D::Ints rounded[kCodesChunk / V::kLanes];
    for (auto& lanes : rounded) {
      lanes = D::Rounded(Math<V>::LoadFirst(from, count, 0) * V::Set(inverse));
      from += V::kLanes, count -= V::kLanes;
    }
    D::StoreBytes(rounded, codes);
  }

  static int ColumnsOf(const CodesLayout& layout, int group) {
    const int left = layout.cols - group * layout.group;
    return left < layout.group ? left : layout.group;
  }

  // The outliers of a column, made if there are none yet.
  static typename Outliers::Column& ColumnOf(Outliers* outliers, int column) {
    int at = 0;
    while (at < outliers->count && outliers->columns[at].column < column) ++at;
    auto* found = outliers->columns + at;
    if (at == outliers->count || found->column != column) {
      std::memmove(found + 1, found, (outliers->count++ - at) * sizeof *found);
      *found = {column, {}};
    }
    return *found;
  }

  // Puts the largest number of a row's group among the outliers if it is more than kApart times
  // its neighbours: `largest` becomes theirs.
  static void TakeOutlier(const float* from, int r, int column, int count, float* largest,
                          Outliers* outliers) {
    float rest[CodesLayout::kMostGroup];
    std::memcpy(rest, from + column, count * sizeof *rest);
    int at = 0;
    while (at < count && std::fabs(rest[at]) != *largest) ++at;
    if (at == count) return;  // it is not a number
    const float number = rest[at];
    rest[at] = 0;
    const float others = Magnitude<V, D>::Of(rest, count);
    if (!(*largest > kApart * others)) return;
    *largest = others;
    ColumnOf(outliers, column + at).numbers[r] = number;
  }

  // The largest magnitude of each group of row r of a block, as its scale.
  static void TakeMagnitudes(const float* from, int r, const CodesLayout& layout,
                             QuantizedRows::Group* groups) {
    for (int group = 0; group < layout.Groups(); ++group)
      groups[group].scales[r] =
          Magnitude<V, D>::Of(from + group * layout.group, ColumnsOf(layout, group));
  }

  // Takes its outliers out of row r of a block, of the groups with the largest magnitudes.
  static void TakeOutliers(const float* from, int r, const CodesLayout& layout,
                           QuantizedRows::Group* groups, Outliers* outliers) {
    static_assert(Outliers::kMost == 2, "the largest and the second");
    int found[] = {-1, -1};
    float magnitudes[] = {0, 0};
    for (int group = 0; group < layout.Groups(); ++group) {
      const float largest = groups[group].scales[r];
      if (!(largest > magnitudes[1])) continue;
      const int place = largest > magnitudes[0] ? 0 : 1;
      if (place == 0) found[1] = found[0], magnitudes[1] = magnitudes[0];
      found[place] = group, magnitudes[place] = largest;
    }
    for (const int group : found) {
      if (group < 0) continue;
      TakeOutlier(from, r, group * layout.group, ColumnsOf(layout, group), &groups[group].scales[r],
                  outliers);
    }
  }

  template <int R>
  static void ClearOutliers(const Outliers& outliers, int first_column,
                            int8_t (&codes)[R][kCodesChunk]) {
    for (int i = 0; i < outliers.count; ++i) {
      const int at = outliers.columns[i].column - first_column;
      if (at < 0 || at >= kCodesChunk) continue;
      for (int r = 0; r < R; ++r)
        if (outliers.columns[i].numbers[r] != 0) codes[r][at] = 0;
    }
  }

  // A group of a row that is alone in its block, whose columns begin at `from`: without the detours
  // over memory that a block's rows take together. Its scale is the largest magnitude.
  template <class Dot>
  static void GroupOfOne(const float* from, int row, const QuantizedRows& to, int start,
                         int group) {
    const CodesLayout& layout = to.layout;
    const int column = group * layout.group, count = ColumnsOf(layout, group);
    QuantizedRows::Group& numbers = to.GroupsOf(row)[group];
    const float largest = numbers.scales[0];
    const bool zero = largest < kLeast;
    const float scale = zero ? 0 : largest / kHighest, inverse = zero ? 0 : kHighest / largest;
    int32_t sum = 0, negatives = 0;
    const int padded = RoundUp(count, layout.Step());
    for (int i = 0; i < padded; i += kCodesChunk) {
      int8_t codes[1][kCodesChunk];
      Codes(from + i, count - i, inverse, codes[0]);
      ClearOutliers(*to.OutliersOf(row), column + i, codes);
      for (const int8_t code : codes[0]) {
        sum += code;
        if (Dot::kPlanes > 1 && code < 0) negatives += code;
      }
      const int columns = padded - i < kCodesChunk ? padded - i : kCodesChunk;
      Dot::StoreRow(codes[0], columns, to.CodesOf(row, column + i));
    }
    numbers.scales[0] = scale;
    numbers.sums[0] = scale * static_cast<float>(sum);
    numbers.starts[0] = start * sum - negatives;
  }

  // A group of rows [first, first + rows) of one block, whose columns begin at `from`. Its `scales`
  // are the largest magnitudes. Rows beyond get codes too, of no meaning.
  template <class Dot>
  static void Group(const float* from, int first, int rows, const QuantizedRows& to, int start,
                    int group, Chunk& codes) {
    const CodesLayout& layout = to.layout;
    const int column = group * layout.group, count = ColumnsOf(layout, group);
    float inverses[kBlock];
    QuantizedRows::Group& numbers = to.GroupsOf(first)[group];
    for (int r = 0; r < kBlock; ++r) {
      const float largest = r < rows ? numbers.scales[r] : 0;
      const bool zero = largest < kLeast;
      inverses[r] = zero ? 0 : kHighest / largest;
      numbers.scales[r] = zero ? 0 : largest / kHighest;
    }
    int32_t sums[kBlock] = {}, negatives[kBlock] = {};
    const int padded = RoundUp(count, layout.Step());
    for (int i = 0; i < padded; i += kCodesChunk) {
      for (int r = 0; r < rows; ++r)
        Codes(from + int64_t{r} * layout.cols + i, count - i, inverses[r], codes[r]);
      ClearOutliers(*to.OutliersOf(first), column + i, codes);
      const int columns = padded - i < kCodesChunk ? padded - i : kCodesChunk;
      Dot::StoreRows(codes, columns, to.CodesOf(first, column + i), sums, negatives);
    }
    for (int r = 0; r < kBlock; ++r) {
      numbers.sums[r] = numbers.scales[r] * static_cast<float>(sums[r]);
      numbers.starts[r] = start * sums[r] - negatives[r];
    }
  }

  static int PlanesOf(const CodesLayout& layout) {
    if (layout.IsWords()) return WordProducts<D>::kPlanes;
    return layout.bits == 8 ? D::template Dot<8>::kPlanes : D::template Dot<4>::kPlanes;
  }

  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    if (to.layout.IsWords())
      QuantizeWords<V, D>::Run(input, to, first_row, last_row);
    else if (to.layout.bits == 8)
      Run<typename D::template Dot<8>>(input, to, first_row, last_row);
    else
      Run<typename D::template Dot<4>>(input, to, first_row, last_row);
  }

  // first_row begins a block.
  template <class Dot>
  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    const CodesLayout& layout = to.layout;
    const int start = StartOf(layout.Middle(), layout.symmetric, Dot::kLowered);
    Chunk codes = {};
    for (int first = first_row; first < last_row; first += kBlock) {
      const int rows = last_row - first < kBlock ? last_row - first : kBlock;
      const float* from = input + int64_t{first} * layout.cols;
      QuantizedRows::Group* groups = to.GroupsOf(first);
      Outliers& outliers = *to.OutliersOf(first);
      outliers.count = 0;
      for (int r = 0; r < rows; ++r) {
        const float* row = from + int64_t{r} * layout.cols;
        TakeMagnitudes(row, r, layout, groups);
        if (CodesLayout::KeepsOutliers(layout.bits))
          TakeOutliers(row, r, layout, groups, &outliers);
      }
      for (int group = 0; group < layout.Groups(); ++group, from += layout.group) {
        if (rows == 1) {
          GroupOfOne<Dot>(from, first, to, start, group);
        } else {
          Group<Dot>(from, first, rows, to, start, group, codes);
        }
      }
      for (int r = 0; r < rows; ++r) {
        float sum = 0;
        for (int group = 0; group < layout.Groups(); ++group) sum += groups[group].sums[r];
        for (int i = 0; i < outliers.count; ++i) sum += outliers.columns[i].numbers[r];
        to.row_sums[first + r] = sum;
      }
    }
  }
};

}  // namespace octavo::cpu
