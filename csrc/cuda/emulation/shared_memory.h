// The shared memory of a block, with a shadow that knows who touched what and when. Finds accesses
// out of bounds, reads of what nobody wrote, races, and reads of copies that are still under way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace octavo::cuda::emulation {

enum class Touch : uint8_t { kRead, kWrite, kAtomic, kCopyStarts };

// When something was done: `epoch` counts the barriers of the block, `warp_epoch` those of the
// warp.
struct Moment {
  uint32_t epoch = 0, warp_epoch = 0;
  int32_t thread = -1;  // kSeveral: more than one of the warp
  int32_t warp = -1;
  bool atomic = false;

  static constexpr int32_t kSeveral = -2;
};

class SharedMemory {
 public:
  // A new block begins: nothing is written yet.
  void Reset(size_t bytes, uint32_t first_epoch);

  size_t size() const { return bytes_; }
  uint8_t* data() { return memory_.data() + offset_; }

  // Checks and notes an access of [offset, offset + bytes). Throws std::runtime_error.
  void Note(size_t offset, size_t bytes, Touch touch, const Moment& now);

 private:
  struct Cell {
    Moment write, read, other_read;  // the last of each; other_read: by another warp than read
    bool arriving = false;
  };
  static constexpr size_t kCellBytes = 2;  // the smallest element

  void NoteCell(Cell* cell, size_t offset, Touch touch, const Moment& now) const;
  void CheckOrder(const Moment& before, const Moment& now, size_t offset, const char* what) const;

  size_t bytes_ = 0, offset_ = 0;
  uint32_t first_epoch_ = 0;
  std::vector<uint8_t> memory_;
  std::vector<Cell> cells_;
};

}  // namespace octavo::cuda::emulation
