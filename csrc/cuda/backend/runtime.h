// The device as the backend uses it: memory, copies, streams, events and graphs. Two
// implementations, one of which is linked: runtime_cuda.cc over CUDA's own, runtime_emulated.cc
// over the emulator, where device memory is host memory and work is done as soon as it is
// submitted. Every failure throws std::runtime_error with CUDA's reason.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../kernels/stream.h"

namespace octavo::cuda {

struct DeviceInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3, sm_90"
  int multiprocessors = 0;
  size_t free_bytes = 0, total_bytes = 0;
  double peak_bandwidth = 0;  // bytes a second that the memory's clock allows; 0: not known
};

// Empty where a device can be used, else what was looked for and what was found. Never throws.
std::string WhyUnavailable();
DeviceInfo QueryDevice();

// Device work of the calling thread goes to the first device from here on.
void UseDevice();

struct FreeDevice {
  void operator()(void* pointer) const;
};
struct FreePinned {
  void operator()(void* pointer) const;
};
using DevicePointer = std::unique_ptr<void, FreeDevice>;
using PinnedPointer = std::unique_ptr<void, FreePinned>;
DevicePointer AllocateDevice(size_t bytes);
// Host memory that the device reads and writes directly, at the same address.
PinnedPointer AllocatePinned(size_t bytes);

struct DestroyStream {
  void operator()(void* stream) const;
};
using StreamPointer = std::unique_ptr<void, DestroyStream>;
StreamPointer CreateStream();

// In the stream's order. Host memory that is not pinned is copied before the call returns.
void CopyToDevice(void* to, const void* from, size_t bytes, Stream stream);
void CopyToHost(void* to, const void* from, size_t bytes, Stream stream);
void CopyOnDevice(void* to, const void* from, size_t bytes, Stream stream);
void Clear(void* device, size_t bytes, Stream stream);
// Until all that was submitted to the stream is done; Drain keeps a failure to itself.
void Wait(Stream stream);
void Drain(Stream stream) noexcept;
// Whether Wait would not wait, for neither work nor a failure.
bool IsIdle(Stream stream);
// Waits likewise, and says how the device failed; empty where it is well. Not within a capture.
std::string WhyFailed(Stream stream) noexcept;

// A moment of a stream, which another stream or the host waits for.
struct DestroyEvent {
  void operator()(void* event) const;
};
using EventPointer = std::unique_ptr<void, DestroyEvent>;
EventPointer CreateEvent();
void Record(void* event, Stream stream);
void WaitInStream(void* event, Stream stream);
void WaitOnHost(void* event);
// Whether WaitOnHost would not wait, be it for a failure.
bool IsReached(void* event);

// Work recorded once and submitted as a whole. Between BeginCapture and EndCapture nothing that is
// submitted to the stream is done.
struct DestroyGraph {
  void operator()(void* graph) const;
};
using GraphPointer = std::unique_ptr<void, DestroyGraph>;
void BeginCapture(Stream stream);
GraphPointer EndCapture(Stream stream);
// Leaves the capture behind after a failure within it.
void AbandonCapture(Stream stream) noexcept;
void Submit(void* graph, Stream stream);

// Calls what submits work to the stream by another library. While the stream is captured, the
// emulator remembers the call itself.
void SubmitCall(Stream stream, std::function<void()> call);

// Shared libraries (shared_library.cc); null where there is none of that name.
void* OpenLibrary(const std::string& file);
void* FindSymbol(void* library, const char* name);
void CloseLibrary(void* library);
// Where cuBLASLt is looked for, best first.
std::vector<std::string> CublasLtFiles();

}  // namespace octavo::cuda
