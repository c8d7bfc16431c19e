// Room for the quantised inputs of one product; each product of codes uses it anew.
#pragma once

#include <vector>

#include "kernels.h"

namespace octavo::cpu {

class InputCodes {
 public:
  // Makes room for so many rows of a product with this layout; `ordered`: in another order too.
  void Reserve(int rows, const CodesLayout& layout, bool ordered) {
    const auto count = static_cast<size_t>(rows), groups = count * layout.Groups();
    Grow(&codes_, (count + QuantizedRows::kBlock) * layout.Padded());
    Grow(&scales_, groups);
    Grow(&sums_, groups);
    Grow(&code_sums_, groups);
    Grow(&row_sums_, count);
    if (ordered) Grow(&ordered_, count * layout.cols);
  }

  QuantizedRows For(int count, const CodesLayout& layout) {
    QuantizedRows rows;
    rows.rows = count;
    rows.codes = codes_.data();
    rows.scales = scales_.data();
    rows.sums = sums_.data();
    rows.code_sums = code_sums_.data();
    rows.row_sums = row_sums_.data();
    rows.cols = layout.cols;
    rows.padded = layout.Padded();
    rows.group = layout.group;
    rows.groups = layout.Groups();
    return rows;
  }

  // Room for inputs in the order of the weight's columns.
  float* Ordered() { return ordered_.data(); }

 private:
  template <class T>
  static void Grow(std::vector<T>* array, size_t size) {
    if (array->size() < size) array->resize(size);
  }

  std::vector<int8_t> codes_;
  std::vector<float> scales_, sums_, row_sums_, ordered_;
  std::vector<int32_t> code_sums_;
};

}  // namespace octavo::cpu
