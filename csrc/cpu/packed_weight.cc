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
constexpr int StepOf(Type type) { return type == Type::kBFloat16 ? LinearArgs::kPair : 1; }

// Where column i of the panel's row c lies in it.
size_t PlaceOf(Type type, int i, int c) {
  const int step = StepOf(type);
  return (static_cast<size_t>(i / step) * kPanel + c) * step + i % step;
}

// Some of a panel's rows as a checkpoint has them.
struct PanelRows {
  int count = 0;
  std::array<int, kPanel> columns;  // of the panel
  std::array<const uint8_t*, kPanel> data;

  void Add(int column, const uint8_t* row) {
    columns[count] = column;
    data[count++] = row;
  }
};

// `kStep` columns of all rows at a time: the panel is written from its start to its end.
template <class To, class From, int kStep>
void PackPanel(const PanelRows& rows, int cols, To* panel) {
  for (int i = 0; i < cols; i += kStep, panel += kPanel * kStep) {
    const int step = std::min(kStep, cols - i);
    for (int r = 0; r < rows.count; ++r) {
      From from[kStep];
      To to[kStep] = {};
      const uint8_t* at = rows.data[r] + i * sizeof(From);  // files align nothing
      std::memcpy(from, at, step == kStep ? sizeof(from) : step * sizeof(From));
      for (int s = 0; s < step; ++s) to[s] = Converter<To, From>::Convert(from[s]);
      std::memcpy(panel + rows.columns[r] * kStep, to, sizeof(to));
    }
  }
}

template <class To, int kStep>
void PackPanelFrom(Type from, const PanelRows& rows, int cols, uint8_t* panel) {
  To* to = reinterpret_cast<To*>(panel);
  switch (from) {
    case Type::kFloat32: return PackPanel<To, float, kStep>(rows, cols, to);
    case Type::kBFloat16: return PackPanel<To, BFloat16, kStep>(rows, cols, to);
    case Type::kFloat16: return PackPanel<To, Float16, kStep>(rows, cols, to);
  }
}

void PackPanelTo(Type from, const PanelRows& rows, Type type, int cols, uint8_t* panel) {
  switch (type) {
    case Type::kFloat32: return PackPanelFrom<float, 1>(from, rows, cols, panel);
    case Type::kBFloat16:
      return PackPanelFrom<BFloat16, StepOf(Type::kBFloat16)>(from, rows, cols, panel);
    case Type::kFloat16: return PackPanelFrom<Float16, 1>(from, rows, cols, panel);
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

template <class T>
void UnpackRowOf(const PackedWeight& weight, int row, float scale, float* to) {
  const T* from = reinterpret_cast<const T*>(weight.data) +
                  static_cast<size_t>(row / kPanel) * weight.PanelBytes() / sizeof(T);
  for (int i = 0; i < weight.cols; ++i)
    to[i] = ToFloat(from[PlaceOf(weight.type, i, row % kPanel)]) * scale;
}

}  // namespace

Packing::Packing(const Weight& weight, const std::vector<TensorView>& sources, Slabs* slabs)
    : matrix_(weight.matrix), form_(weight.quantization), sources_(sources) {
  packed_.type = matrix_ ? weight.type : Type::kFloat32;
  packed_.rows = static_cast<int>(weight.rows);
  packed_.cols = static_cast<int>(matrix_ ? weight.cols : 1);
  const std::vector<int> rows = RowsOfSources(weight, sources, packed_);
  for (size_t i = 0; i < sources.size(); ++i)
    rows_.push_back({DecoderOf(sources[i], matrix_ ? packed_.cols : rows[i]), rows[i]});
  if (form_) {
    packed_.coded = true;
    packed_.column_order = ColumnOrderOf(&rows_, &form_);
    packed_.codes = LayoutOf(form_, packed_.cols, rows_);
  }
  packed_.data = room_ = slabs->Take(packed_.Bytes(), "weight '" + weight.sources[0].name + "'");
}

void Packing::PackPanel(int panel) const {
  if (form_) return PackCodes(form_, rows_, packed_, panel, PanelAt(panel));
  if (matrix_) return PackNumbers(panel);
  PackVector();
}

void Packing::PackNumbers(int panel) const {
  const size_t cols = static_cast<size_t>(packed_.cols);
  std::vector<float> decoded;
  int64_t first = int64_t{panel} * -kPanel;  // the panel's row that a source begins with
  for (size_t i = 0; i < sources_.size(); first += rows_[i++].rows) {
    const int begin = static_cast<int>(std::max<int64_t>(first, 0));
    const int end = static_cast<int>(std::min<int64_t>(first + rows_[i].rows, kPanel));
    if (begin >= end) continue;
    const bool stored = sources_[i].rows == nullptr;
    if (!stored) decoded.resize(kPanel * cols);
    const auto* data = static_cast<const uint8_t*>(sources_[i].data);
    PanelRows rows;
    for (int column = begin; column < end; ++column) {
      const int64_t row = column - first;
      if (stored) {
        rows.Add(column, data + row * cols * SizeOf(sources_[i].type));
        continue;
      }
      float* numbers = decoded.data() + column * cols;
      rows_[i].decoder->Numbers(row, numbers);
      rows.Add(column, reinterpret_cast<const uint8_t*>(numbers));
    }
    PackPanelTo(stored ? sources_[i].type : Type::kFloat32, rows, packed_.type, packed_.cols,
                PanelAt(panel));
  }
}

// A vector is a matrix of one row a source.
void Packing::PackVector() const {
  float* to = reinterpret_cast<float*>(room_);
  for (const SourceRows& source : rows_) {
    if (source.rows > 0) source.decoder->Numbers(0, to);
    to += source.rows;
  }
}

void PackAll(const std::vector<Packing>& packings, ThreadPool* pool) {
  std::vector<int> ends;  // of each one's panels among all
  for (const Packing& packing : packings)
    ends.push_back((ends.empty() ? 0 : ends.back()) + packing.Panels());
  if (ends.empty()) return;
  pool->ParallelFor(ends.back(), [&](int item, int) {
    const auto found = std::upper_bound(ends.begin(), ends.end(), item) - ends.begin();
    const Packing& packing = packings[static_cast<size_t>(found)];
    packing.PackPanel(item - (ends[static_cast<size_t>(found)] - packing.Panels()));
  });
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
