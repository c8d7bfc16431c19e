// Large blocks of zeroed memory for weights, caches and the arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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

  // Lets the system have its pages until they are written to again. What they held is lost: the
  // bytes are what they were, or zeros.
  void GiveBack() const;

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// Many pieces of memory that live and die together. They share large allocations: a matrix of less
// than a huge page, alone, would lie in small pages, at whose borders the processor stops fetching
// ahead.
class Slabs {
 public:
  // Zeroed bytes aligned to 64. Throws as Memory does.
  uint8_t* Take(size_t bytes, const std::string& purpose);

 private:
  std::vector<Memory> slabs_;
  size_t used_ = 0;  // of the last one
};

}  // namespace octavo::cpu
