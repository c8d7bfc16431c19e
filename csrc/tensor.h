// Element types and views of host memory. No dependency on Node, CUDA or a backend.
#pragma once

#include <cstddef>
#include <cstdint>
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

// A row-major tensor in host memory that somebody else owns (a mapped checkpoint file, a test's
// array).
struct TensorView {
  const void* data = nullptr;
  Type type = Type::kFloat32;
  std::vector<int64_t> shape;

  int64_t Count() const {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return n;
  }
};

}  // namespace octavo
