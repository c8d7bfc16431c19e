// Large blocks of zeroed memory for weights, caches and the arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace octavo::cpu {

// Zeroed bytes aligned to 64 (large ones to pages, huge where the system offers them).
class Memory {
 public:
  Memory() = default;
  // Throws std::runtime_error naming `purpose` and the size when there is not enough memory.
  Memory(size_t bytes, const std::string& purpose);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace octavo::cpu
