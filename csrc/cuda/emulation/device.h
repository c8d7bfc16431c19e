// CUDA's language as far as our kernels use it, for a C++ compiler: kernels/platform.cuh includes
// this in place of CUDA's headers. Each thread is a fiber (block.h), each access to shared memory
// is checked (shared_memory.h), each warp instruction follows its documented fragment layout.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "../../cpu/half.h"
#include "../kernels/stream.h"
#include "block.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace octavo::cuda {

using BFloat16 = cpu::BFloat16;
using Float16 = cpu::Float16;
using Int8 = cpu::Int8;
using Float8 = cpu::Float8;
using cpu::FromFloat;
using cpu::ToFloat;

using std::max;
using std::min;

constexpr unsigned kAllLanes = 0xffffffffu;

inline void CheckAligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0)
    throw std::runtime_error("an access of " + std::to_string(bytes) + " bytes at an odd address");
}

namespace emulation {

// An element of shared memory, as far as an expression can name it.
template <class T>
class SharedElement {
 public:
  explicit SharedElement(size_t offset) : offset_(offset) {}
  operator T() const {
    Note(offset_, sizeof(T), Touch::kRead);
    T value;
    std::memcpy(&value, Memory().data() + offset_, sizeof value);
    return value;
  }
  const SharedElement& operator=(const T& value) const {
    Note(offset_, sizeof(T), Touch::kWrite);
    std::memcpy(Memory().data() + offset_, &value, sizeof value);
    return *this;
  }
  const SharedElement& operator=(const SharedElement& other) const {
    return *this = static_cast<T>(other);
  }
  SharedElement(const SharedElement&) = default;
  const SharedElement& operator+=(const T& value) const {
    return *this = static_cast<T>(static_cast<T>(*this) + value);
  }

 private:
  size_t offset_;
};

}  // namespace emulation

// A pointer into shared memory: a plain pointer on a GPU, here one that knows its array's ends.
template <class T>
class SharedArray {
 public:
  SharedArray(size_t begin, size_t bytes) : begin_(begin), end_(begin + bytes), at_(begin) {}

  emulation::SharedElement<T> operator[](int64_t index) const {
    return emulation::SharedElement<T>(Offset(index, 1));
  }
  emulation::SharedElement<T> operator*() const { return (*this)[0]; }
  SharedArray operator+(int64_t count) const {
    SharedArray moved = *this;
    moved.at_ += count * static_cast<int64_t>(sizeof(T));
    return moved;
  }

  // The byte offset of `count` elements from `index` on; throws if they are not all in the array.
  size_t Offset(int64_t index, int64_t count) const {
    const int64_t size = sizeof(T), first = at_ + index * size;
    if (first < static_cast<int64_t>(begin_) || first + count * size > static_cast<int64_t>(end_))
      throw std::runtime_error("shared memory: element " +
                               std::to_string((first - static_cast<int64_t>(begin_)) / size) +
                               " of an array of " + std::to_string((end_ - begin_) / sizeof(T)) +
                               " by thread " + std::to_string(emulation::ThreadOfBlock()));
    return static_cast<size_t>(first);
  }

 private:
  size_t begin_, end_;
  int64_t at_;
};

// An array of `count` elements, `offset` bytes into the launch's shared memory.
template <class T>
SharedArray<T> Shared(size_t offset, size_t count) {
  const size_t bytes = count * sizeof(T);
  if (offset % 16 != 0) throw std::runtime_error("shared memory: an array at an odd offset");
  if (offset + bytes > emulation::Memory().size())
    throw std::runtime_error("shared memory: an array ends at byte " +
                             std::to_string(offset + bytes) + ", the launch gave " +
                             std::to_string(emulation::Memory().size()));
  return SharedArray<T>(offset, bytes);
}

#define OCTAVO_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(OCTAVO_PLACE) { emulation::Barrier({"__syncthreads", file, line}); }

inline void __syncwarp(unsigned mask = kAllLanes, OCTAVO_PLACE) {
  emulation::MeetWarp({"__syncwarp", file, line}, mask, nullptr, nullptr, true);
}

namespace emulation {

template <class T>
struct Shuffle {
  T value;
  int source;
};

// Each lane gets the value of its source lane.
template <class T>
void CombineShuffle(void* const* lanes, uint32_t mask) {
  T values[32] = {};
  for (int i = 0; i < 32; ++i)
    if (mask >> i & 1u) values[i] = static_cast<Shuffle<T>*>(lanes[i])->value;
  for (int i = 0; i < 32; ++i) {
    if ((mask >> i & 1u) == 0) continue;
    auto* mine = static_cast<Shuffle<T>*>(lanes[i]);
    if ((mask >> mine->source & 1u) == 0)
      throw std::runtime_error("a shuffle reads lane " + std::to_string(mine->source) +
                               ", which does not take part");
    mine->value = values[mine->source];
  }
}

template <class T>
T ShuffleFrom(const Place& place, unsigned mask, T value, int source) {
  static_assert(std::is_trivially_copyable_v<T>);
  Shuffle<T> mine{value, source & 31};
  MeetWarp(place, mask, &mine, CombineShuffle<T>, false);
  return mine.value;
}

inline int Lane() { return ThreadOfBlock() % 32; }

}  // namespace emulation

template <class T>
T __shfl_sync(unsigned mask, T value, int source, OCTAVO_PLACE) {
  return emulation::ShuffleFrom({"__shfl_sync", file, line}, mask, value, source);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, OCTAVO_PLACE) {
  return emulation::ShuffleFrom({"__shfl_xor_sync", file, line}, mask, value,
                                emulation::Lane() ^ lanes);
}
// Lanes below `delta` keep their own value.
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, OCTAVO_PLACE) {
  const int lane = emulation::Lane(), source = lane - static_cast<int>(delta);
  return emulation::ShuffleFrom({"__shfl_up_sync", file, line}, mask, value,
                                source < 0 ? lane : source);
}

inline unsigned __ballot_sync(unsigned mask, bool vote, OCTAVO_PLACE) {
  struct Ballot {
    bool vote;
    unsigned result;
  } mine{vote, 0};
  const auto combine = [](void* const* lanes, uint32_t who) {
    unsigned votes = 0;
    for (int i = 0; i < 32; ++i)
      if ((who >> i & 1u) && static_cast<Ballot*>(lanes[i])->vote) votes |= 1u << i;
    for (int i = 0; i < 32; ++i)
      if (who >> i & 1u) static_cast<Ballot*>(lanes[i])->result = votes;
  };
  emulation::MeetWarp({"__ballot_sync", file, line}, mask, &mine, combine, false);
  return mine.result;
}

// Blocks run one after the other and threads change only where they wait: plain code is atomic.
template <class T>
T AtomicAdd(T* to, T value) {
  const T before = *to;
  *to = before + value;
  return before;
}
template <class T>
T AtomicAdd(SharedArray<T> to, T value) {
  const size_t offset = to.Offset(0, 1);
  emulation::Note(offset, sizeof(T), emulation::Touch::kAtomic);
  T before;
  std::memcpy(&before, emulation::Memory().data() + offset, sizeof before);
  const T after = before + value;
  std::memcpy(emulation::Memory().data() + offset, &after, sizeof after);
  return before;
}

inline uint32_t __float_as_uint(float value) { return cpu::BitsOf(value); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fmul_rn(float a, float b) { return a * b; }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline uint32_t __umulhi(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}

// What a launcher calls: runs the kernel at once, or remembers it where the stream is captured.
namespace emulation {
void Submit(Stream stream, std::function<void()> work);
}

}  // namespace octavo::cuda
