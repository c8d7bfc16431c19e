#include "memory.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace octavo::cpu {
namespace {

constexpr std::align_val_t kAlignment{64};
constexpr size_t kSlabBytes = size_t{32} << 20;

#if defined(__linux__)
constexpr size_t kMapFrom = size_t{2} << 20;  // one huge page
#endif

// Null when there is not enough memory.
uint8_t* Allocate(size_t bytes) {
#if defined(__linux__)
  if (bytes >= kMapFrom) {
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    madvise(mapped, bytes, MADV_HUGEPAGE);  // advice only: failing costs speed, not correctness
    return static_cast<uint8_t*>(mapped);
  }
#endif
  void* allocated = ::operator new(bytes, kAlignment, std::nothrow);
  if (allocated != nullptr) std::memset(allocated, 0, bytes);
  return static_cast<uint8_t*>(allocated);
}

void Free(uint8_t* data, size_t bytes) {
  if (data == nullptr) return;
#if defined(__linux__)
  if (bytes >= kMapFrom) {
    munmap(data, bytes);
    return;
  }
#else
  (void)bytes;
#endif
  ::operator delete(data, kAlignment);
}

}  // namespace

Memory::Memory(size_t bytes, const std::string& purpose) : data_(Allocate(bytes)), size_(bytes) {
  if (data_ == nullptr) {
    throw std::runtime_error("out of memory: " + purpose + " needs " + std::to_string(bytes) +
                             " bytes");
  }
}

Memory::~Memory() { Free(data_, size_); }

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void Memory::GiveBack() const {
#if defined(__linux__)
  if (size_ >= kMapFrom) madvise(data_, size_, MADV_DONTNEED);
#endif
}

uint8_t* Slabs::Take(size_t bytes, const std::string& purpose) {
  const size_t rounded = (bytes + 63) / 64 * 64;
  if (slabs_.empty() || slabs_.back().size() - used_ < rounded) {
    slabs_.emplace_back(std::max(rounded, kSlabBytes), purpose);
    used_ = 0;
  }
  uint8_t* piece = slabs_.back().data() + used_;
  used_ += rounded;
  return piece;
}

}  // namespace octavo::cpu
