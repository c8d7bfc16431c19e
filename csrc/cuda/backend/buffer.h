// Device memory that grows, and such that holds a list.
#pragma once

#include <vector>

#include "runtime.h"

namespace octavo::cuda {

struct Buffer {
  DevicePointer memory;
  size_t bytes = 0;

  // Makes it at least so large. Where it was smaller, its address changes and what it held is lost.
  // Returns whether that happened.
  bool Reserve(size_t wanted) {
    if (wanted <= bytes) return false;
    memory.reset();
    memory = AllocateDevice(wanted);
    bytes = wanted;
    return true;
  }

  template <class T>
  T* As() const {
    return static_cast<T*>(memory.get());
  }
};

template <class T>
DevicePointer OnDevice(const std::vector<T>& list, Stream stream) {
  const size_t bytes = list.size() * sizeof(T);
  DevicePointer memory = AllocateDevice(bytes);
  CopyToDevice(memory.get(), list.data(), bytes, stream);
  Wait(stream);
  return memory;
}

}  // namespace octavo::cuda
