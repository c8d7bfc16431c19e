// Element types and views of host memory. No dependency on Node, CUDA or a backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace octavo {

enum class Type : uint8_t { kFloat32, kBFloat16, kFloat16 };

inline size_t SizeOf(Type type) { return type == Type::kFloat32 ? 4 : 2; }

inline const char* NameOf(Type type) {
  switch (type) {
    case Type::kFloat32: return "float32";
    case Type::kBFloat16: return "bfloat16";
    case Type::kFloat16: return "float16";
  }
  return "?";
}

inline Type ParseType(const std::string& name) {
  if (name == "float32") return Type::kFloat32;
  if (name == "bfloat16") return Type::kBFloat16;
  if (name == "float16") return Type::kFloat16;
  throw std::runtime_error("unknown element type '" + name + "'");
}

// How a quantised matrix is held: unsigned codes, and for every group of a row's columns a scale
// and a minimum: number = scale × code + minimum. Written int8 (a group is the whole row), int4/32,
// … Codes of 4 bits may choose one of 16 levels in place of `code`: levels4/64.
struct Quantization {
  int bits = 0;   // of a code: 8 or 4; 0: the matrix is not quantised
  int group = 0;  // columns: 16, 32, 64 or 128; 0: the whole row
  bool levels = false;

  explicit operator bool() const { return bits != 0; }
  bool operator==(const Quantization& other) const {
    return bits == other.bits && group == other.group && levels == other.levels;
  }
};

std::string NameOf(const Quantization& quantization);

// Reads such a name. False if it is none.
bool ParseQuantization(const std::string& name, Quantization* quantization);

class RowDecoder;  // quantized.h

// A row-major tensor in host memory that somebody else owns (a mapped checkpoint file, a test's
// array).
struct TensorView {
  const void* data = nullptr;
  Type type = Type::kFloat32;
  std::vector<int64_t> shape;
  // Not null: the tensor is stored in another form than `type`, `data` means nothing, and its rows
  // are read by this.
  std::shared_ptr<const RowDecoder> rows = nullptr;

  int64_t Count() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
};

}  // namespace octavo
