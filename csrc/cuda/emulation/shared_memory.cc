#include "shared_memory.h"

#include <algorithm>
#include <stdexcept>

namespace octavo::cuda::emulation {
namespace {

constexpr size_t kAlignment = 128;

[[noreturn]] void Fail(const std::string& what, size_t offset, const Moment& now) {
  throw std::runtime_error("shared memory: " + what + " at byte " + std::to_string(offset) +
                           " by thread " + std::to_string(now.thread));
}

// Whether a barrier, or the order of one thread, stands between the two.
bool Ordered(const Moment& before, const Moment& now) {
  return before.epoch < now.epoch || before.thread == now.thread ||
         (before.warp == now.warp && before.warp_epoch < now.warp_epoch);
}

}  // namespace

void SharedMemory::Reset(size_t bytes, uint32_t first_epoch) {
  if (bytes > bytes_ || memory_.empty()) {
    memory_.assign(bytes + kAlignment, 0);
    cells_.assign(bytes / kCellBytes + 1, Cell());
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    offset_ = (kAlignment - address % kAlignment) % kAlignment;
  }
  bytes_ = bytes;
  first_epoch_ = first_epoch;
  std::fill_n(data(), bytes, uint8_t{0xff});  // NaN in every type
}

void SharedMemory::Note(size_t offset, size_t bytes, Touch touch, const Moment& now) {
  if (offset + bytes > bytes_) {
    Fail("an access beyond the " + std::to_string(bytes_) + " bytes of the launch", offset, now);
  }
  for (size_t at = offset / kCellBytes * kCellBytes; at < offset + bytes; at += kCellBytes) {
    NoteCell(&cells_[at / kCellBytes], at, touch, now);
  }
}

void SharedMemory::NoteCell(Cell* cell, size_t offset, Touch touch, const Moment& now) const {
  const bool written = cell->write.epoch >= first_epoch_ && cell->write.thread != -1;
  if (touch == Touch::kRead) {
    if (!written) Fail("a read of what was never written", offset, now);
    if (cell->arriving) Fail("a read of an asynchronous copy before its end", offset, now);
  }
  CheckOrder(cell->write, now, offset,
             touch == Touch::kRead ? "read after write" : "write after write");
  if (touch != Touch::kRead) {
    CheckOrder(cell->read, now, offset, "write after read");
    CheckOrder(cell->other_read, now, offset, "write after read");
    cell->write = now;
    cell->arriving = touch == Touch::kCopyStarts;
    return;
  }
  Moment* last = &cell->read;
  if (last->warp != now.warp) cell->other_read = *last;
  const bool together = last->epoch == now.epoch && last->warp == now.warp &&
                        last->warp_epoch == now.warp_epoch && last->thread != now.thread;
  *last = now;
  if (together) last->thread = Moment::kSeveral;
}

void SharedMemory::CheckOrder(const Moment& before, const Moment& now, size_t offset,
                              const char* what) const {
  if (before.epoch < first_epoch_ || before.thread == -1) return;
  if (Ordered(before, now) || (before.atomic && now.atomic)) return;
  const std::string other = before.thread == Moment::kSeveral
                                ? "threads of warp " + std::to_string(before.warp)
                                : "thread " + std::to_string(before.thread);
  Fail(std::string("a race, ") + what + " of " + other + " with no barrier between,", offset, now);
}

}  // namespace octavo::cuda::emulation
