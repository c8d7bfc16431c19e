// Weights in the form that the kernels read.
#pragma once

#include <memory>
#include <vector>

#include "../plan.h"
#include "../quantized.h"
#include "kernels.h"
#include "memory.h"
#include "thread_pool.h"

namespace octavo::cpu {

// What the bytes of packed weights mean. Raised with every change of them (kPanel, CodesLayout,
// what a packer puts where): files of packed weights name it, and those of another one are packed
// anew.
constexpr uint32_t kPackedLayout = 1;

// A matrix in panels (see kPanel) of its stored type or of codes, or a float32 vector padded to
// whole panels.
struct PackedWeight {
  Type type = Type::kFloat32;
  bool coded = false;
  CodesLayout codes;  // if coded; `type` then means nothing
  int rows = 0, cols = 0;
  const uint8_t* data = nullptr;
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

// Rows that one source gives.
struct SourceRows {
  std::shared_ptr<const RowDecoder> decoder;
  int64_t rows = 0;
};

// Calls body(column, decoder, its row) for each row of a panel, which is a column there.
template <class Body>
void ForRowsOf(int panel, const PackedWeight& packed, const std::vector<SourceRows>& sources,
               const Body& body) {
  size_t source = 0;
  int64_t first = 0;  // row of that source
  for (int column = 0; column < kPanel; ++column) {
    const int64_t row = int64_t{panel} * kPanel + column;
    if (row >= packed.rows) break;
    while (row - first >= sources[source].rows) first += sources[source++].rows;
    body(column, *sources[source].decoder, row - first);
  }
}

// A weight on its way into panels: its sources are converted and fused by rows.
class Packing {
 public:
  // Takes room from `slabs`; the sources stay valid until all panels are packed. Throws
  // std::runtime_error when they do not fill the weight or there is not enough memory.
  Packing(const Weight& weight, const std::vector<TensorView>& sources, Slabs* slabs);

  const PackedWeight& packed() const { return packed_; }
  // Of a vector: 1.
  int Panels() const { return matrix_ ? RoundUp(packed_.rows, kPanel) / kPanel : 1; }
  // Several threads pack different panels at once.
  void PackPanel(int panel) const;

 private:
  void PackNumbers(int panel) const;
  void PackVector() const;
  uint8_t* PanelAt(int panel) const { return room_ + panel * packed_.PanelBytes(); }

  bool matrix_;
  PackedWeight packed_;
  uint8_t* room_;                    // packed_.data
  Quantization form_;                // of codes
  std::vector<TensorView> sources_;  // of numbers
  std::vector<SourceRows> rows_;     // of each source
};

// All panels of all these, in one loop of the pool's threads.
void PackAll(const std::vector<Packing>& packings, ThreadPool* pool);

// to[i] = row[i] × scale, for one row of a packed matrix.
void UnpackRow(const PackedWeight& weight, int row, float scale, float* to);

}  // namespace octavo::cpu
