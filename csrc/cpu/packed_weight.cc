#include "packed_weight.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "half.h"
#include "kernels.h"

namespace octavo::cpu {
namespace {

template <class To, class From>
struct Converter {
  static To Convert(From value) {
    To to;
    FromFloat(ToFloat(value), &to);
    return to;
  }
};
template <class T>
struct Converter<T, T> {
  static T Convert(T value) { return value; }
};

// Where column c of a panel lies in its packed rows. The halves of a bfloat16 row are interleaved:
// one 32-bit load gives two columns, widened by a shift and a mask.
int PanelPosition(Type type, int c) {
  constexpr int kHalf = kPanel / 2;
  return type != Type::kBFloat16 ? c : c < kHalf ? 2 * c : 2 * (c - kHalf) + 1;
}

// The checkpoint's rows that make the columns of one panel; null beyond the last.
using PanelRows = std::array<const uint8_t*, kPanel>;

template <class To, class From>
void PackPanel(const PanelRows& rows, Type type, int cols, uint8_t* panel) {
  constexpr int kStep = 64;  // of columns: one source row's stretch stays in the first-level cache
  To* to = reinterpret_cast<To*>(panel);
  for (int begin = 0; begin < cols; begin += kStep) {
    const int end = std::min(begin + kStep, cols);
    for (int c = 0; c < kPanel; ++c) {
      if (rows[c] == nullptr) continue;
      const int position = PanelPosition(type, c);
      for (int i = begin; i < end; ++i) {
        From value;
        std::memcpy(&value, rows[c] + i * sizeof(From), sizeof(From));  // files align nothing
        to[static_cast<size_t>(i) * kPanel + position] = Converter<To, From>::Convert(value);
      }
    }
  }
}

template <class To>
void PackPanelFrom(Type from, const PanelRows& rows, Type type, int cols, uint8_t* panel) {
  switch (from) {
    case Type::kFloat32: return PackPanel<To, float>(rows, type, cols, panel);
    case Type::kBFloat16: return PackPanel<To, BFloat16>(rows, type, cols, panel);
    case Type::kFloat16: return PackPanel<To, Float16>(rows, type, cols, panel);
  }
}

void PackPanelTo(Type from, const PanelRows& rows, Type type, int cols, uint8_t* panel) {
  switch (type) {
    case Type::kFloat32: return PackPanelFrom<float>(from, rows, type, cols, panel);
    case Type::kBFloat16: return PackPanelFrom<BFloat16>(from, rows, type, cols, panel);
    case Type::kFloat16: return PackPanelFrom<Float16>(from, rows, type, cols, panel);
  }
}

// Packs one source of a matrix, whose rows begin at `first_row` of the fused one.
void PackSource(const TensorView& source, int first_row, int rows, ThreadPool* pool,
                PackedWeight* packed) {
  const int first_panel = first_row / kPanel, last_panel = (first_row + rows - 1) / kPanel;
  const size_t panel_bytes = SizeOf(packed->type) * packed->cols * kPanel;
  const size_t row_bytes = SizeOf(source.type) * packed->cols;
  pool->ParallelFor(last_panel - first_panel + 1, [&](int item, int) {
    const int panel = first_panel + item;
    PanelRows columns;
    for (int c = 0; c < kPanel; ++c) {
      const int row = panel * kPanel + c - first_row;
      const bool inside = row >= 0 && row < rows;
      columns[c] = inside ? static_cast<const uint8_t*>(source.data) + row * row_bytes : nullptr;
    }
    PackPanelTo(source.type, columns, packed->type, packed->cols,
                packed->data + panel * panel_bytes);
  });
}

template <class From>
void CopyVector(const TensorView& source, float* to) {
  const auto* from = static_cast<const uint8_t*>(source.data);
  for (int64_t i = 0; i < source.Count(); ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    to[i] = ToFloat(value);
  }
}

void CopySource(const TensorView& source, float* to) {
  switch (source.type) {
    case Type::kFloat32: return CopyVector<float>(source, to);
    case Type::kBFloat16: return CopyVector<BFloat16>(source, to);
    case Type::kFloat16: return CopyVector<Float16>(source, to);
  }
}

template <class T>
void UnpackRowOf(const PackedWeight& weight, int row, float scale, float* to) {
  const T* from = reinterpret_cast<const T*>(weight.data) +
                  static_cast<size_t>(row / kPanel) * weight.cols * kPanel +
                  PanelPosition(weight.type, row % kPanel);
  for (int i = 0; i < weight.cols; ++i)
    to[i] = ToFloat(from[static_cast<size_t>(i) * kPanel]) * scale;
}

}  // namespace

PackedWeight Pack(const Weight& weight, const std::vector<TensorView>& sources, ThreadPool* pool,
                  Slabs* slabs) {
  PackedWeight packed;
  packed.type = weight.matrix ? weight.type : Type::kFloat32;
  packed.rows = static_cast<int>(weight.rows);
  packed.cols = static_cast<int>(weight.matrix ? weight.cols : 1);
  const size_t padded_rows = static_cast<size_t>(RoundUp(packed.rows, kPanel));
  const std::string& name = weight.sources.empty() ? "?" : weight.sources[0].name;
  packed.data =
      slabs->Take(padded_rows * packed.cols * SizeOf(packed.type), "weight '" + name + "'");
  int row = 0;
  for (const TensorView& source : sources) {
    const int64_t rows = source.Count() / packed.cols;
    if (rows * packed.cols != source.Count() || row + rows > packed.rows) {
      throw std::runtime_error("weight '" + name + "': a source does not fit its shape");
    }
    if (rows == 0) continue;
    if (weight.matrix) {
      PackSource(source, row, static_cast<int>(rows), pool, &packed);
    } else {
      CopySource(source, reinterpret_cast<float*>(packed.data) + row);
    }
    row += static_cast<int>(rows);
  }
  if (row != packed.rows) {
    throw std::runtime_error("weight '" + name + "': sources have " + std::to_string(row) +
                             " rows, expected " + std::to_string(packed.rows));
  }
  return packed;
}

void UnpackRow(const PackedWeight& weight, int row, float scale, float* to) {
  switch (weight.type) {
    case Type::kFloat32: return UnpackRowOf<float>(weight, row, scale, to);
    case Type::kBFloat16: return UnpackRowOf<BFloat16>(weight, row, scale, to);
    case Type::kFloat16: return UnpackRowOf<Float16>(weight, row, scale, to);
  }
}

}  // namespace octavo::cpu
