// Weights in the form that the kernels read.
#pragma once

#include <vector>

#include "../plan.h"
#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"

namespace octavo::cpu {

// A matrix in panels (see kPanel) of its stored type or of codes, or a float32 vector padded to
// whole panels.
struct PackedWeight {
  Type type = Type::kFloat32;
  bool coded = false;
  CodesLayout codes;  // if coded; `type` then means nothing
  int rows = 0, cols = 0;
  uint8_t* data = nullptr;
  std::vector<int32_t> column_order;  // of the codes' columns; empty: as the inputs'

  size_t PanelBytes() const {
    if (coded) return codes.PanelBytes();
    const int columns = type == Type::kBFloat16 ? RoundUp(cols, LinearArgs::kPair) : cols;
    return SizeOf(type) * kPanel * columns;
  }
  size_t Bytes() const {
    return static_cast<size_t>(RoundUp(rows, kPanel)) / kPanel * PanelBytes();
  }

  const float* Vector() const { return reinterpret_cast<const float*>(data); }
};

// Converts and fuses the sources by rows into a piece of `slabs`. Throws std::runtime_error when
// the sources do not fill the weight or there is not enough memory.
PackedWeight Pack(const Weight& weight, const std::vector<TensorView>& sources, ThreadPool* pool,
                  Slabs* slabs);

// to[i] = row[i] × scale, for one row of a packed matrix.
void UnpackRow(const PackedWeight& weight, int row, float scale, float* to);

}  // namespace octavo::cpu
