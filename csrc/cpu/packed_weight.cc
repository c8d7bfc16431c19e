#include "packed_weight.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "half.h"
#include "kernels.h"
#include "packed_codes.h"

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

// Columns of a row that lie side by side in a panel: a 32-bit word holds two of bfloat16.
int StepOf(Type type) { return type == Type::kBFloat16 ? LinearArgs::kPair : 1; }

// Where column i of the panel's row c lies in it.
size_t PlaceOf(Type type, int i, int c) {
  const int step = StepOf(type);
  return (static_cast<size_t>(i / step) * kPanel + c) * step + i % step;
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
      for (int i = begin; i < end; ++i) {
        From value;
        std::memcpy(&value, rows[c] + i * sizeof(From), sizeof(From));  // files align nothing
        to[PlaceOf(type, i, c)] = Converter<To, From>::Convert(value);
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

// The rows that each source gives. Throws where they do not fill the weight.
std::vector<int> RowsOfSources(const Weight& weight, const std::vector<TensorView>& sources,
                               const PackedWeight& packed) {
  std::vector<int> rows;
  int64_t total = 0;
  for (const TensorView& source : sources) {
    const int64_t count = source.Count() / packed.cols;
    total += count;
    if (count * packed.cols != source.Count() || total > packed.rows)
      throw std::runtime_error("weight '" + weight.sources[0].name +
                               "': a source does not fit its shape");
    rows.push_back(static_cast<int>(count));
  }
  if (total != packed.rows)
    throw std::runtime_error("weight '" + weight.sources[0].name + "': sources have " +
                             std::to_string(total) + " rows, expected " +
                             std::to_string(packed.rows));
  return rows;
}

// Packs one source of a matrix, whose rows begin at `first_row` of the fused one.
void PackSource(const TensorView& source, int first_row, int rows, ThreadPool* pool,
                PackedWeight* packed) {
  if (rows == 0) return;
  const int first_panel = first_row / kPanel, last_panel = (first_row + rows - 1) / kPanel;
  const size_t panel_bytes = packed->PanelBytes();
  const RowDecoder* decoder = source.rows.get();
  const Type from = decoder == nullptr ? source.type : Type::kFloat32;
  const size_t row_bytes = SizeOf(from) * packed->cols;
  pool->ParallelFor(last_panel - first_panel + 1, [&](int item, int) {
    const int panel = first_panel + item;
    std::vector<float> decoded(decoder == nullptr ? 0 : size_t{kPanel} * packed->cols);
    PanelRows columns;
    for (int c = 0; c < kPanel; ++c) {
      const int row = panel * kPanel + c - first_row;
      columns[c] = nullptr;
      if (row < 0 || row >= rows) continue;
      columns[c] = static_cast<const uint8_t*>(source.data) + row * row_bytes;
      if (decoder == nullptr) continue;
      float* numbers = decoded.data() + size_t{static_cast<unsigned>(c)} * packed->cols;
      decoder->Numbers(row, numbers);
      columns[c] = reinterpret_cast<const uint8_t*>(numbers);
    }
    PackPanelTo(from, columns, packed->type, packed->cols, packed->data + panel * panel_bytes);
  });
}

template <class T>
void UnpackRowOf(const PackedWeight& weight, int row, float scale, float* to) {
  const T* from = reinterpret_cast<const T*>(weight.data) +
                  static_cast<size_t>(row / kPanel) * weight.PanelBytes() / sizeof(T);
  for (int i = 0; i < weight.cols; ++i)
    to[i] = ToFloat(from[PlaceOf(weight.type, i, row % kPanel)]) * scale;
}

}  // namespace

PackedWeight Pack(const Weight& weight, const std::vector<TensorView>& sources, ThreadPool* pool,
                  Slabs* slabs) {
  PackedWeight packed;
  packed.type = weight.matrix ? weight.type : Type::kFloat32;
  packed.rows = static_cast<int>(weight.rows);
  packed.cols = static_cast<int>(weight.matrix ? weight.cols : 1);
  const std::vector<int> rows = RowsOfSources(weight, sources, packed);
  const std::string purpose = "weight '" + weight.sources[0].name + "'";
  if (weight.quantization) {
    std::vector<SourceRows> coded;
    for (size_t i = 0; i < sources.size(); ++i)
      coded.push_back({DecoderOf(sources[i], packed.cols), rows[i]});
    Quantization form = weight.quantization;
    packed.coded = true;
    packed.column_order = ColumnOrderOf(&coded, &form);
    packed.codes = LayoutOf(form, packed.cols, coded);
    packed.data = slabs->Take(packed.Bytes(), purpose);
    PackCodes(form, coded, pool, &packed);
    return packed;
  }
  packed.data = slabs->Take(packed.Bytes(), purpose);
  int row = 0;
  for (size_t i = 0; i < sources.size(); row += rows[i++]) {
    if (weight.matrix) {
      PackSource(sources[i], row, rows[i], pool, &packed);
    } else if (rows[i] > 0) {
      float* to = reinterpret_cast<float*>(packed.data) + row;
      DecoderOf(sources[i], rows[i])->Numbers(0, to);  // a vector is a matrix of one row
    }
  }
  return packed;
}

void UnpackRow(const PackedWeight& weight, int row, float scale, float* to) {
  if (weight.coded) return UnpackCodes(weight, row, scale, to);
  switch (weight.type) {
    case Type::kFloat32: return UnpackRowOf<float>(weight, row, scale, to);
    case Type::kBFloat16: return UnpackRowOf<BFloat16>(weight, row, scale, to);
    case Type::kFloat16: return UnpackRowOf<Float16>(weight, row, scale, to);
  }
}

}  // namespace octavo::cpu
