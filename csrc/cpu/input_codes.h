// Room for the quantised inputs of one product; each product of codes uses it anew.
#pragma once

#include <vector>

#include "kernels.h"

namespace octavo::cpu {

class InputCodes {
 public:
  // Makes room for so many rows of a product with this layout; `ordered`: in another order too.
  void Reserve(int rows, const CodesLayout& layout, bool ordered) {
    const auto count = static_cast<size_t>(RoundUp(rows, QuantizedRows::kBlock));
    Grow(&codes_, count * layout.Padded());
    Grow(&groups_, count / QuantizedRows::kBlock * layout.Groups());
    Grow(&row_sums_, count);
    Grow(&outliers_, count / QuantizedRows::kBlock);
    if (ordered) Grow(&ordered_, count * layout.cols);
  }

  QuantizedRows For(const CodesLayout& layout) {
    QuantizedRows rows;
    rows.codes = codes_.data();
    rows.groups = groups_.data();
    rows.row_sums = row_sums_.data();
    rows.outliers = outliers_.data();
    rows.layout = layout;
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
  std::vector<QuantizedRows::Group> groups_;
  std::vector<float> row_sums_, ordered_;
  std::vector<QuantizedRows::Outliers> outliers_;
};

}  // namespace octavo::cpu
