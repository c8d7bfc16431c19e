// Room for the quantised inputs of one product; each product of codes uses it anew.
#pragma once

#include <vector>

#include "kernels.h"

namespace octavo::cpu {

class InputCodes {
 public:
  // Makes room for so many rows of a product with this layout; `ordered`: in another order too.
  void Reserve(int rows, const CodesLayout& layout, const KernelTable& kernels, bool ordered) {
    Grow(&codes_, QuantizedRows::Bytes(rows, layout, kernels.planes_of(layout)));
    if (ordered) Grow(&ordered_, static_cast<size_t>(rows) * layout.cols);
  }

  // So many rows, at most as many as were reserved.
  QuantizedRows For(int rows, const CodesLayout& layout, const KernelTable& kernels) {
    return QuantizedRows::In(codes_.data(), rows, layout, kernels.planes_of(layout));
  }

  // Room for inputs in the order of the weight's columns.
  float* Ordered() { return ordered_.data(); }

 private:
  template <class T>
  static void Grow(std::vector<T>* array, size_t size) {
    if (array->size() < size) array->resize(size);
  }

  std::vector<uint8_t> codes_;
  std::vector<float> ordered_;
};

}  // namespace octavo::cpu
