// How keys and values of tokens are kept in the cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace octavo {

// kInt8: codes from -127 to 127, and a float32 scale for the keys and one for the values of each
// token and kv head, 1/127 of their largest magnitude; one for both where rows are latent.
// kFloat8: e4m3, where what is beyond ±448 becomes ±448.
enum class CacheType : uint8_t { kFloat32, kBFloat16, kFloat16, kInt8, kFloat8 };

// Bytes of an element.
inline size_t SizeOf(CacheType type) {
  switch (type) {
    case CacheType::kFloat32: return 4;
    case CacheType::kBFloat16:
    case CacheType::kFloat16: return 2;
    case CacheType::kInt8:
    case CacheType::kFloat8: return 1;
  }
  return 0;
}

// Bytes of the scale of a row.
inline size_t ScaleBytes(CacheType type) { return type == CacheType::kInt8 ? sizeof(float) : 0; }

inline CacheType ParseCacheType(const std::string& name) {
  if (name == "float32") return CacheType::kFloat32;
  if (name == "bfloat16") return CacheType::kBFloat16;
  if (name == "float16") return CacheType::kFloat16;
  if (name == "int8") return CacheType::kInt8;
  if (name == "fp8") return CacheType::kFloat8;
  throw std::runtime_error("unknown type of a cache '" + name + "'");
}

}  // namespace octavo
