#include "weights.h"

#include <limits>
#include <utility>

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
  CheckShape(tensor.name, tensor.shape, weight, source);
  given_.push_back(&tensor);
  return {files_[tensor.file]->data() + tensor.offset, tensor.type, tensor.shape};
}

void FileTensors::Release() {
  for (const FileTensor* tensor : given_)
    files_[tensor->file]->Forget(tensor->offset, tensor->length);
  given_.clear();
}

MemoryTensors::MemoryTensors(std::map<std::string, TensorView> tensors)
    : tensors_(std::move(tensors)) {}

TensorView MemoryTensors::Get(const Weight& weight, const WeightSource& source) {
  const auto found = tensors_.find(source.name);
  if (found == tensors_.end()) FailMissing(source.name);
  CheckShape(source.name, found->second.shape, weight, source);
  return found->second;
}

TensorView DummyTensors::Get(const Weight& weight, const WeightSource& source) {
  const bool gain = source.name.find("norm") != std::string::npos && !EndsWith(source.name, "bias");
  const float centre = gain ? 1.0f : 0.0f;
  const uint64_t key = Mix(seed_ ^ HashName(source.name));
  std::vector<float> values(static_cast<size_t>(source.rows * weight.cols));
  for (size_t i = 0; i < values.size(); ++i) values[i] = centre + 0.02f * NearNormal(Mix(key + i));
  given_.push_back(std::move(values));
  return {given_.back().data(), Type::kFloat32, WantedShape(weight, source)};
}

}  // namespace octavo
