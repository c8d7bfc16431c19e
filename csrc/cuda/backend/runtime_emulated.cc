#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "../emulation/block.h"
#include "runtime.h"

namespace octavo::cuda {
namespace {

using Work = std::vector<std::function<void()>>;

struct EmulatedStream {
  bool capturing = false;
  Work captured;
};

constexpr size_t kAlignment = 256;  // cudaMalloc's

void* Allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0xff, rounded);  // NaN in every type: fresh device memory holds anything
  return memory;
}

// The device's memory: of OCTAVO_EMULATED_MEMORY bytes, or 2 GiB.
class DeviceHeap {
 public:
  void* Take(size_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (bytes > Total() - std::min(Total(), used_))
      throw std::runtime_error("cudaMalloc: the GPU is out of memory");
    void* memory = Allocate(bytes);
    taken_[memory] = bytes;
    used_ += bytes;
    return memory;
  }

  void Return(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = taken_.find(memory);
    used_ -= found->second;
    taken_.erase(found);
    std::free(memory);
  }

  size_t Free() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return Total() - std::min(Total(), used_);
  }

  static size_t Total() {
    const char* told = std::getenv("OCTAVO_EMULATED_MEMORY");
    return told == nullptr ? size_t{2} << 30 : std::stoull(told);
  }

 private:
  mutable std::mutex mutex_;
  std::map<void*, size_t> taken_;  // bytes by address
  size_t used_ = 0;
};

DeviceHeap heap;

// After a fault nothing is done any more, and whoever waits is told. As on a GPU, it is the whole
// process's; here until the next stream is made.
std::atomic<bool> lost{false};

void Do(const std::function<void()>& work) {
  if (lost) return;
  try {
    work();
  } catch (const emulation::DeviceFault&) {
    lost = true;
  }
}

constexpr char kFailure[] = "the GPU: an illegal memory access was encountered";

void CheckNotLost() {
  if (lost) throw std::runtime_error(kFailure);
}

}  // namespace

namespace emulation {

// Kernels and copies alike: done at once, or remembered where the stream is captured.
void Submit(Stream stream, std::function<void()> work) {
  auto* target = static_cast<EmulatedStream*>(stream.handle);
  if (!target->capturing) return Do(work);
  target->captured.push_back(std::move(work));
}

}  // namespace emulation

std::string WhyUnavailable() { return ""; }

DeviceInfo QueryDevice() {
  constexpr int kMultiprocessors = 8;
  return {"emulated", kMultiprocessors, heap.Free(), DeviceHeap::Total()};
}

void UseDevice() {}

void FreeDevice::operator()(void* pointer) const { heap.Return(pointer); }
void FreePinned::operator()(void* pointer) const { std::free(pointer); }
DevicePointer AllocateDevice(size_t bytes) { return DevicePointer(heap.Take(bytes)); }
PinnedPointer AllocatePinned(size_t bytes) { return PinnedPointer(Allocate(bytes)); }

void DestroyStream::operator()(void* stream) const { delete static_cast<EmulatedStream*>(stream); }
StreamPointer CreateStream() {
  lost = false;
  return StreamPointer(std::make_unique<EmulatedStream>().release());
}

void CopyToDevice(void* to, const void* from, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
}
void CopyToHost(void* to, const void* from, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
}
void CopyOnDevice(void* to, const void* from, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
}
void Clear(void* device, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memset(device, 0, bytes); });
}
void Wait(Stream stream) {
  if (static_cast<EmulatedStream*>(stream.handle)->capturing)
    throw std::runtime_error("a stream that is captured cannot be waited for");
  CheckNotLost();
}

void Drain(Stream) noexcept {}
std::string WhyFailed(Stream) noexcept { return lost ? kFailure : ""; }

void DestroyEvent::operator()(void*) const {}
EventPointer CreateEvent() { return nullptr; }
void Record(void*, Stream) {}
void WaitInStream(void*, Stream) {}
void WaitOnHost(void*) { CheckNotLost(); }
bool IsReached(void*) { return true; }

void DestroyGraph::operator()(void* graph) const { delete static_cast<Work*>(graph); }
void BeginCapture(Stream stream) { static_cast<EmulatedStream*>(stream.handle)->capturing = true; }

GraphPointer EndCapture(Stream stream) {
  auto* source = static_cast<EmulatedStream*>(stream.handle);
  source->capturing = false;
  auto graph = std::make_unique<Work>(std::move(source->captured));
  source->captured.clear();
  return GraphPointer(graph.release());
}

void AbandonCapture(Stream stream) noexcept {
  auto* source = static_cast<EmulatedStream*>(stream.handle);
  source->capturing = false;
  source->captured.clear();
}

void Submit(void* graph, Stream) {
  for (const auto& work : *static_cast<Work*>(graph)) Do(work);
}

void SubmitCall(Stream stream, std::function<void()> call) {
  emulation::Submit(stream, std::move(call));
}

std::vector<std::string> CublasLtFiles() { return {}; }  // the true one needs a GPU

}  // namespace octavo::cuda
