// Runs a kernel's blocks one after the other on the CPU, each thread as a fiber. Barriers and warp
// collectives check that all who must come do come, and to the same place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../kernels/stream.h"
#include "shared_memory.h"

namespace octavo::cuda {

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  Dim3(unsigned x_count = 1, unsigned y_count = 1, unsigned z_count = 1)
      : x(x_count), y(y_count), z(z_count) {}
};

// As CUDA names them. They change whenever another thread runs.
extern thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

// Where a collective is called, for messages; two threads meet only at the same place.
struct Place {
  const char* what;
  const char* file;
  int line;
};

// What a kernel does wrong on a GPU: nobody hears of it before the stream is waited for. A test
// asks for it by OCTAVO_EMULATED_FAULT, the kernel's name.
struct DeviceFault {};

// Runs `body` for each thread of the grid. `shared_bytes`: dynamic shared memory. Throws
// std::runtime_error naming the kernel and the block where a check fails, or if it left no mark.
void RunGrid(const char* kernel, Dim3 grid, Dim3 block, size_t shared_bytes,
             const std::function<void()>& body, Mark mark = {});

// A kernel as it was launched.
struct Launched {
  std::string kernel;
  Dim3 grid, block;
  size_t shared_bytes;
};
// Launches of this thread are written there instead of being run; null: they are run.
void RecordLaunches(std::vector<Launched>* launches);

// All threads of the block meet here; what they wrote before is visible after.
void Barrier(const Place& place);

// The lanes of `mask` meet here, each with its own argument; the last to come calls `combine` with
// the arguments of all lanes. With `orders_memory` it is also a barrier of the warp.
using Combine = void (*)(void* const* lanes, uint32_t mask);
void MeetWarp(const Place& place, uint32_t mask, void* argument, Combine combine,
              bool orders_memory);

// The shared memory of the running block. Note checks an access of the running thread.
SharedMemory& Memory();
void Note(size_t offset, size_t bytes, Touch touch);

int ThreadOfBlock();
// Of the blocks that ran so far.
uint64_t BlockNumber();

}  // namespace emulation
}  // namespace octavo::cuda
