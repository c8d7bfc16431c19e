// From an element type known at run time to a kernel's template argument.
#pragma once

#include <stdexcept>
#include <string>

#include "../../cache_type.h"
#include "../../tensor.h"
#include "platform.cuh"

namespace octavo::cuda {

template <class T>
struct TypeTag {
  using Element = T;
};

// Calls body(TypeTag<T>()) for the type.
template <class Body>
void ForType(Type type, const Body& body) {
  switch (type) {
    case Type::kFloat32: return body(TypeTag<float>());
    case Type::kBFloat16: return body(TypeTag<BFloat16>());
    case Type::kFloat16: return body(TypeTag<Float16>());
    default: break;
  }
  throw std::runtime_error(std::string("the CUDA kernels have no elements of ") + NameOf(type));
}

// What a cache holds kernels ask for themselves: all threads take the same branch.
template <class Body>
__device__ __forceinline__ void ForCacheType(CacheType type, const Body& body) {
  switch (type) {
    case CacheType::kFloat32: return body(TypeTag<float>());
    case CacheType::kBFloat16: return body(TypeTag<BFloat16>());
    case CacheType::kFloat16: return body(TypeTag<Float16>());
    case CacheType::kInt8: return body(TypeTag<Int8>());
    case CacheType::kFloat8: return body(TypeTag<Float8>());
  }
}

inline unsigned CeilDiv(int64_t n, int64_t d) { return static_cast<unsigned>((n + d - 1) / d); }

}  // namespace octavo::cuda
