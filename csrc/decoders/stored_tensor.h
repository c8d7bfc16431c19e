// A checkpoint tensor in another form than one of elements: the mapped bytes that it is made of.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "../quantized.h"

namespace octavo {

// One tensor of the file, checked to lie within it.
struct StoredPart {
  const uint8_t* data = nullptr;
  uint64_t bytes = 0;
  std::string type;  // as safetensors names it: F16, I32, …; empty: there is no such part
};

// A matrix of `rows` × `cols`.
struct StoredTensor {
  std::string encoding;  // "q4_1", "gptq4", …
  int64_t rows = 0, cols = 0;
  int64_t group = 0;  // columns that share a scale where the encoding does not say; 0: all
  float offset = 0;   // added to each scale
  StoredPart codes;
  // What else it is made of: "scales", "zeros", "groupOfColumn", "levels", "scaleLevels",
  // "scaleScales".
  std::map<std::string, StoredPart> parts;

  // An empty one where there is none of that name.
  StoredPart Part(const char* name) const {
    const auto found = parts.find(name);
    return found == parts.end() ? StoredPart() : found->second;
  }
};

// Throws std::runtime_error, which says what is wrong with the tensor, if there is no such encoding
// or its parts are not as large as the shape asks for.
std::shared_ptr<const RowDecoder> StoredRows(const StoredTensor& tensor);

}  // namespace octavo
