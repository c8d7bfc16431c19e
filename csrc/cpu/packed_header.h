// The header of a file of packed weights as bytes (packed_file.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "packed_weight.h"

namespace octavo::cpu {

struct PackedHeader {
  // A weight and its bytes in the file.
  struct Entry {
    std::string key;  // Weight::Key
    PackedWeight packed;
    uint64_t offset = 0, length = 0, sum = 0;
  };

  std::string source;  // WeightFile::source
  std::vector<Entry> entries;

  std::vector<uint8_t> Bytes() const;
  // Throws std::runtime_error where the bytes are not those of a header. Its numbers are unchecked.
  static PackedHeader Parse(const uint8_t* bytes, size_t size);
};

// Throws std::runtime_error where `packed` is not what kernels expect of the weight.
void CheckPacked(const PackedWeight& packed, const Weight& weight);

}  // namespace octavo::cpu
