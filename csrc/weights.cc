#include "weights.h"

#include <cstring>
#include <limits>
#include <utility>

#include "cpu/half.h"

namespace octavo {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<int64_t> WantedShape(const Weight& weight, const WeightSource& source) {
  if (weight.matrix) return {source.rows, weight.cols};
  return {source.rows};
}

void CheckShape(const std::string& name, const std::vector<int64_t>& found, const Weight& weight,
                const WeightSource& source) {
  const std::vector<int64_t> wanted = WantedShape(weight, source);
  if (found != wanted)
    throw std::runtime_error("tensor '" + name + "' has shape " + ShapeText(found) +
                             ", the plan wants " + ShapeText(wanted));
}

// The first element of a row.
int64_t RowStart(const SourceView& view, int64_t row) {
  int64_t start = view.first;
  for (size_t i = view.loops.size(); i-- > 0; row /= view.loops[i].count)
    start += row % view.loops[i].count * view.loops[i].step;
  return start;
}

// Throws unless all elements of the view are inside the tensor.
void CheckView(const std::string& name, const TensorView& tensor, const SourceView& view,
               int64_t cols) {
  const int64_t count = tensor.Count();
  int64_t room = count - 1 - view.first;
  const auto take = [&room](int64_t times, int64_t step) {
    const bool fits = room >= 0 && (step == 0 || times <= room / step);
    room = fits ? room - times * step : -1;
  };
  for (const SourceView::Loop& loop : view.loops) take(loop.count - 1, loop.step);
  take(cols - 1, view.column_step);
  if (room < 0)
    throw std::runtime_error("tensor '" + name + "' of shape " + ShapeText(tensor.shape) +
                             " has not all elements that the plan takes of it");
}

// The rows of a tensor whose heads have theirs in pairs, in order.
SourceView InOrder(int64_t rows, int64_t cols, int64_t heads) {
  const int64_t head = rows / heads;
  SourceView view;
  view.loops = {{heads, head * cols}, {2, cols}, {head / 2, 2 * cols}};
  return view;
}

// The rows that a source takes of its tensor.
TensorView RowsOf(const TensorView& tensor, const Weight& weight, const WeightSource& source,
                  const SourceView& view, CopiedRows* copied) {
  if (source.view.loops.empty()) CheckShape(source.name, tensor.shape, weight, source);
  if (view.loops.empty()) return tensor;
  CheckView(source.name, tensor, view, weight.cols);
  const size_t size = SizeOf(tensor.type);
  const auto* data = static_cast<const uint8_t*>(tensor.data);
  TensorView rows{data + view.first * size, tensor.type, WantedShape(weight, source)};
  const bool together = view.loops.size() == 1 && view.loops[0].step == weight.cols &&
                        (view.column_step == 1 || weight.cols == 1);
  if (together) return rows;
  std::vector<uint8_t> copy(static_cast<size_t>(source.rows * weight.cols) * size);
  uint8_t* to = copy.data();
  for (int64_t row = 0; row < source.rows; ++row) {
    const uint8_t* from = data + RowStart(view, row) * size;
    for (int64_t c = 0; c < weight.cols; ++c, to += size)
      std::memcpy(to, from + c * view.column_step * size, size);
  }
  copied->push_back(std::move(copy));
  rows.data = copied->back().data();
  return rows;
}

[[noreturn]] void FailMissing(const std::string& name) {
  throw std::runtime_error("tensor '" + name + "' is wanted by the plan and was not given");
}

void CheckRange(const FileTensor& tensor, uint64_t file_size) {
  const std::string where = "tensor '" + tensor.name + "' of '" + tensor.file + "': ";
  if (tensor.offset > file_size || tensor.length > file_size - tensor.offset)
    throw std::runtime_error(where + std::to_string(tensor.length) + " bytes at offset " +
                             std::to_string(tensor.offset) + " of a file of " +
                             std::to_string(file_size));
  uint64_t bytes = SizeOf(tensor.type);
  for (const int64_t dimension : tensor.shape) {
    const auto size = static_cast<uint64_t>(dimension);
    if (dimension < 0 || (size > 0 && bytes > std::numeric_limits<uint64_t>::max() / size))
      throw std::runtime_error(where + "impossible shape " + ShapeText(tensor.shape));
    bytes *= size;
  }
  if (bytes != tensor.length)
    throw std::runtime_error(where + NameOf(tensor.type) + " " + ShapeText(tensor.shape) +
                             " takes " + std::to_string(bytes) + " bytes, the range has " +
                             std::to_string(tensor.length));
  if (tensor.paired_heads != 0 && (tensor.paired_heads < 0 || tensor.shape.empty() ||
                                   tensor.shape[0] % (2 * int64_t{tensor.paired_heads}) != 0))
    throw std::runtime_error(where + ShapeText(tensor.shape) + " has no rows in pairs for " +
                             std::to_string(tensor.paired_heads) + " heads");
}

// A bijective mixer of 64 bits (splitmix64).
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t HashName(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// The sum of four 16-bit uniforms, centred: near normal and exact in integers on every machine.
float NearNormal(uint64_t bits) {
  int32_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<int32_t>(bits >> (16 * i) & 0xffff);
  constexpr float kToUnitDeviation = 1.0f / 37837.0f;  // 65536 × sqrt(4 / 12)
  return static_cast<float>(sum - 2 * 65535) * kToUnitDeviation;
}

template <class T>
float ElementOf(const TensorView& view, int64_t i) {
  T element;  // files align nothing
  std::memcpy(&element, static_cast<const uint8_t*>(view.data) + i * sizeof(T), sizeof(T));
  return cpu::ToFloat(element);
}

float ElementAt(const TensorView& view, int64_t i) {
  switch (view.type) {
    case Type::kFloat32: return ElementOf<float>(view, i);
    case Type::kBFloat16: return ElementOf<cpu::BFloat16>(view, i);
    case Type::kFloat16: return ElementOf<cpu::Float16>(view, i);
  }
  return 0;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

FileTensors::FileTensors(std::vector<FileTensor> tensors) {
  for (FileTensor& tensor : tensors) {
    auto& file = files_[tensor.file];
    if (!file) file = std::make_unique<MappedFile>(tensor.file);
    CheckRange(tensor, file->size());
    const std::string name = tensor.name;
    if (!tensors_.emplace(name, std::move(tensor)).second)
      throw std::runtime_error("tensor '" + name + "' is given twice");
  }
}

TensorView FileTensors::Get(const Weight& weight, const WeightSource& source) {
  const auto found = tensors_.find(source.name);
  if (found == tensors_.end()) FailMissing(source.name);
  const FileTensor& tensor = found->second;
  given_.push_back(&tensor);
  const TensorView view{files_[tensor.file]->data() + tensor.offset, tensor.type, tensor.shape};
  if (tensor.paired_heads == 0) return RowsOf(view, weight, source, source.view, &copied_);
  if (!source.view.loops.empty())
    throw std::runtime_error("tensor '" + tensor.name +
                             "': its rows stand in pairs, which cannot be taken in part");
  const SourceView in_order = InOrder(source.rows, weight.cols, tensor.paired_heads);
  return RowsOf(view, weight, source, in_order, &copied_);
}

void FileTensors::Release() {
  for (const FileTensor* tensor : given_)
    files_[tensor->file]->Forget(tensor->offset, tensor->length);
  given_.clear();
  copied_.clear();
}

MemoryTensors::MemoryTensors(std::map<std::string, TensorView> tensors)
    : tensors_(std::move(tensors)) {}

TensorView MemoryTensors::Get(const Weight& weight, const WeightSource& source) {
  const auto found = tensors_.find(source.name);
  if (found == tensors_.end()) FailMissing(source.name);
  return RowsOf(found->second, weight, source, source.view, &copied_);
}

TensorView DummyTensors::Get(const Weight& weight, const WeightSource& source) {
  const bool gain = source.name.find("norm") != std::string::npos && !EndsWith(source.name, "bias");
  const float centre = gain ? 1.0f - weight.offset : 0.0f;
  const uint64_t key = Mix(seed_ ^ HashName(source.name));
  std::vector<float> values(static_cast<size_t>(source.rows * weight.cols));
  for (size_t i = 0; i < values.size(); ++i) values[i] = centre + 0.02f * NearNormal(Mix(key + i));
  given_.push_back(std::move(values));
  return {given_.back().data(), Type::kFloat32, WantedShape(weight, source)};
}

void AddOffset(float offset, std::vector<TensorView>* sources, CopiedRows* copied) {
  for (TensorView& view : *sources) {
    std::vector<uint8_t> sums(static_cast<size_t>(view.Count()) * sizeof(float));
    for (int64_t i = 0; i < view.Count(); ++i) {
      const float sum = ElementAt(view, i) + offset;
      std::memcpy(sums.data() + i * sizeof(float), &sum, sizeof(float));
    }
    copied->push_back(std::move(sums));
    view = {copied->back().data(), Type::kFloat32, view.shape};
  }
}

}  // namespace octavo
