#include "weight_loader.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../../cpu/half.h"

namespace octavo::cuda {
namespace {

constexpr size_t kHalfBytes = size_t{16} << 20;

template <class From, class To>
void Convert(const uint8_t* from, size_t count, uint8_t* to) {
  for (size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    To converted;
    cpu::FromFloat(cpu::ToFloat(value), &converted);
    std::memcpy(to + i * sizeof(To), &converted, sizeof(To));
  }
}

template <class From>
void ConvertTo(Type type, const uint8_t* from, size_t count, uint8_t* to) {
  switch (type) {
    case Type::kFloat32: return Convert<From, float>(from, count, to);
    case Type::kBFloat16: return Convert<From, cpu::BFloat16>(from, count, to);
    case Type::kFloat16: return Convert<From, cpu::Float16>(from, count, to);
    default: break;
  }
  throw std::runtime_error(std::string("the CUDA backend cannot store weights as ") + NameOf(type));
}

}  // namespace

void ConvertElements(const void* from, Type from_type, size_t count, Type to_type, void* to) {
  const auto* source = static_cast<const uint8_t*>(from);
  auto* target = static_cast<uint8_t*>(to);
  if (from_type == to_type && count > 0) {
    std::memcpy(to, from, count * SizeOf(to_type));
    return;
  }
  switch (from_type) {
    case Type::kFloat32: return ConvertTo<float>(to_type, source, count, target);
    case Type::kBFloat16: return ConvertTo<cpu::BFloat16>(to_type, source, count, target);
    case Type::kFloat16: return ConvertTo<cpu::Float16>(to_type, source, count, target);
    default: break;
  }
  throw std::runtime_error(std::string("the CUDA backend cannot load tensors of ") +
                           NameOf(from_type));
}

std::shared_ptr<const DeviceWeight> WeightLoader::Load(const Weight& weight,
                                                       const std::vector<TensorView>& sources,
                                                       Stream stream) {
  if (weight.quantization)
    throw std::runtime_error("the CUDA backend has no weights of " + weight.TypeName());
  auto loaded = std::make_shared<DeviceWeight>();
  loaded->type = weight.matrix ? weight.type : Type::kFloat32;
  loaded->rows = weight.rows;
  loaded->cols = weight.cols;
  const auto count = static_cast<size_t>(weight.rows * weight.cols);
  loaded->memory = AllocateDevice(count * SizeOf(loaded->type));
  auto* to = static_cast<uint8_t*>(loaded->memory.get());
  for (const TensorView& source : sources) {
    Send(source, loaded->type, to, stream);
    to += static_cast<size_t>(source.Count()) * SizeOf(loaded->type);
  }
  return loaded;
}

void WeightLoader::Send(const TensorView& source, Type type, uint8_t* to, Stream stream) {
  const auto count = static_cast<size_t>(source.Count());
  const size_t piece = kHalfBytes / SizeOf(Type::kFloat32);
  const auto* from = static_cast<const uint8_t*>(source.data);
  for (size_t first = 0; first < count; first += piece) {
    Half& half = halves_[next_];
    next_ ^= 1;
    if (half.memory == nullptr) {
      half.memory = AllocatePinned(kHalfBytes);
      half.sent = CreateEvent();
    } else {
      WaitOnHost(half.sent.get());
    }
    const size_t elements = std::min(piece, count - first);
    ConvertElements(from + first * SizeOf(source.type), source.type, elements, type,
                    half.memory.get());
    CopyToDevice(to + first * SizeOf(type), half.memory.get(), elements * SizeOf(type), stream);
    Record(half.sent.get(), stream);
  }
}

void WeightLoader::Release() {
  for (Half& half : halves_) half = Half();
}

}  // namespace octavo::cuda
