#include "weights.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <future>
#include <utility>

#include "cpu/half.h"
#include "decoders/stored_tensor.h"
#include "system.h"

namespace octavo {
namespace {

[[noreturn]] void FailMissing(const std::string& name) {
  throw std::runtime_error("tensor '" + name + "' is wanted by the plan and was not given");
}

void CheckRange(const FileRange& range, uint64_t file_size) {
  if (range.offset > file_size || range.length > file_size - range.offset)
    throw std::runtime_error(std::to_string(range.length) + " bytes at offset " +
                             std::to_string(range.offset) + " of a file of " +
                             std::to_string(file_size));
}

// The number of elements; throws for a shape that cannot be counted.
uint64_t CountOf(const std::vector<int64_t>& shape) {
  constexpr uint64_t kMost = uint64_t{1} << 53;
  uint64_t count = 1;
  for (const int64_t dimension : shape) {
    const auto size = static_cast<uint64_t>(dimension);
    if (dimension < 0 || (size > 0 && count > kMost / size))
      throw std::runtime_error("impossible shape " + ShapeText(shape));
    count *= size;
  }
  return count;
}

void CheckShape(const FileTensor& tensor) {
  const uint64_t count = CountOf(tensor.shape);
  const int64_t heads = tensor.paired_heads;
  if (heads != 0 && (heads < 0 || tensor.shape.empty() || tensor.shape[0] % (2 * heads) != 0))
    throw std::runtime_error(ShapeText(tensor.shape) + " has no rows in pairs for " +
                             std::to_string(heads) + " heads");
  if (!tensor.encoding.empty()) {
    if (tensor.shape.size() < 2 || count == 0)
      throw std::runtime_error("shape " + ShapeText(tensor.shape) + " is no matrix");
  } else if (count * SizeOf(tensor.type) != tensor.data.length) {
    throw std::runtime_error(std::string(NameOf(tensor.type)) + " " + ShapeText(tensor.shape) +
                             " takes " + std::to_string(count * SizeOf(tensor.type)) +
                             " bytes, the range has " + std::to_string(tensor.data.length));
  }
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

// Calls work(first, last) for parts of [0, count), on as many threads as there are CPUs where the
// count is worth it.
void ForParts(size_t count, const std::function<void(size_t, size_t)>& work) {
  constexpr size_t kWorthAThread = size_t{1} << 18;
  const auto cpus = static_cast<size_t>(AvailableCpus());
  const size_t parts = std::clamp<size_t>(count / kWorthAThread, 1, cpus);
  std::vector<std::future<void>> others;
  for (size_t part = 1; part < parts; ++part)
    others.push_back(
        std::async(std::launch::async, work, count * part / parts, count * (part + 1) / parts));
  work(0, count / parts);
  for (auto& other : others) other.get();
}

}  // namespace

FileTensors::FileTensors(std::vector<FileTensor> tensors) {
  for (FileTensor& tensor : tensors) {
    try {
      for (const FileRange* range : tensor.Ranges()) {
        auto& file = files_[range->file];
        if (!file) file = std::make_unique<MappedFile>(range->file);
        CheckRange(*range, file->size());
      }
      CheckShape(tensor);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error("tensor '" + tensor.name + "' of '" + tensor.data.file +
                               "': " + error.what());
    }
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
  const TensorView view = ViewOf(tensor);
  if (tensor.paired_heads == 0) return RowsOf(view, weight, source, source.view, &copied_);
  if (!source.view.loops.empty())
    throw std::runtime_error("tensor '" + tensor.name +
                             "': its rows stand in pairs, which cannot be taken in part");
  const SourceView in_order = InOrder(source.rows, weight.cols, tensor.paired_heads);
  return RowsOf(view, weight, source, in_order, &copied_);
}

TensorView FileTensors::ViewOf(const FileTensor& tensor) const {
  const StoredPart data = PartOf(tensor.data);
  if (tensor.encoding.empty()) return {data.data, tensor.type, tensor.shape, nullptr};
  StoredTensor stored;
  stored.encoding = tensor.encoding;
  stored.cols = tensor.shape.back();
  stored.rows = static_cast<int64_t>(CountOf(tensor.shape)) / stored.cols;
  stored.group = tensor.group;
  stored.offset = tensor.offset;
  stored.codes = data;
  for (const auto& part : tensor.parts) stored.parts[part.first] = PartOf(part.second);
  try {
    return {nullptr, tensor.type, tensor.shape, StoredRows(stored)};
  } catch (const std::runtime_error& error) {
    throw std::runtime_error("tensor '" + tensor.name + "' of '" + tensor.data.file +
                             "': " + error.what());
  }
}

StoredPart FileTensors::PartOf(const FileRange& range) const {
  return {files_.at(range.file)->data() + range.offset, range.length, range.type};
}

void FileTensors::Release() {
  for (const FileTensor* tensor : given_)
    for (const FileRange* range : tensor->Ranges())
      files_[range->file]->Forget(range->offset, range->length);
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
  ForParts(values.size(), [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) values[i] = centre + 0.02f * NearNormal(Mix(key + i));
  });
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
