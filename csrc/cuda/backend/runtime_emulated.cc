#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "../emulation/streams.h"
#include "runtime.h"

namespace octavo::cuda {
namespace {

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

// Pinned memory of the host: what the device may read and write while the host goes on.
class PinnedMemory {
 public:
  void* Take(size_t bytes) {
    void* memory = Allocate(bytes);
    const std::lock_guard<std::mutex> lock(mutex_);
    taken_[memory] = bytes;
    return memory;
  }
  void Return(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    taken_.erase(memory);
    std::free(memory);
  }
  bool Holds(const void* address) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto next = taken_.upper_bound(const_cast<void*>(address));
    if (next == taken_.begin()) return false;
    const auto& [begin, bytes] = *--next;
    return static_cast<const uint8_t*>(address) < static_cast<const uint8_t*>(begin) + bytes;
  }

 private:
  mutable std::mutex mutex_;
  std::map<void*, size_t> taken_;  // bytes by address
} pinned;

emulation::WorkQueue* Queue(Stream stream) {
  return static_cast<emulation::WorkQueue*>(stream.handle);
}
using SharedEvent = std::shared_ptr<emulation::Event>;
const SharedEvent& Shared(void* event) { return *static_cast<SharedEvent*>(event); }

void CheckWell() {
  const std::string why = emulation::Failure();
  if (!why.empty()) throw std::runtime_error("the GPU: " + why);
}

// What CUDA refuses, or what would be done once instead of with each submission of the graph.
void ForbidInCapture(const char* call) {
  if (emulation::IsCapturing())
    throw std::runtime_error(std::string(call) + " while a stream is captured");
}

}  // namespace

namespace emulation {

void Submit(Stream stream, std::function<void()> work) { Queue(stream)->Add(std::move(work)); }

}  // namespace emulation

std::string WhyUnavailable() { return ""; }

DeviceInfo QueryDevice() {
  constexpr int kMultiprocessors = 8;
  return {"emulated", kMultiprocessors, heap.Free(), DeviceHeap::Total()};
}

void UseDevice() {}

// As CUDA does, waits for what may still use the memory.
void FreeDevice::operator()(void* pointer) const {
  emulation::FinishAll();
  heap.Return(pointer);
}
void FreePinned::operator()(void* pointer) const {
  emulation::FinishAll();
  pinned.Return(pointer);
}
DevicePointer AllocateDevice(size_t bytes) {
  ForbidInCapture("cudaMalloc");
  return DevicePointer(heap.Take(bytes));
}
PinnedPointer AllocatePinned(size_t bytes) {
  ForbidInCapture("cudaHostAlloc");
  return PinnedPointer(pinned.Take(bytes));
}

void DestroyStream::operator()(void* stream) const { delete Queue(stream); }
StreamPointer CreateStream() {
  return StreamPointer(std::make_unique<emulation::WorkQueue>().release());
}

void CopyToDevice(void* to, const void* from, size_t bytes, Stream stream) {
  if (pinned.Holds(from)) return emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
  const auto* begin = static_cast<const uint8_t*>(from);
  emulation::Submit(stream, [to, held = std::vector<uint8_t>(begin, begin + bytes)] {
    std::memcpy(to, held.data(), held.size());
  });
}
void CopyToHost(void* to, const void* from, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
  if (!pinned.Holds(to)) Queue(stream)->Finish();
}
void CopyOnDevice(void* to, const void* from, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memcpy(to, from, bytes); });
}
void Clear(void* device, size_t bytes, Stream stream) {
  emulation::Submit(stream, [=] { std::memset(device, 0, bytes); });
}
void Wait(Stream stream) {
  ForbidInCapture("cudaStreamSynchronize");
  Queue(stream)->Finish();
  CheckWell();
}

bool IsIdle(Stream stream) { return Queue(stream)->IsIdle() && emulation::Failure().empty(); }
void Drain(Stream stream) noexcept { Queue(stream)->Finish(); }
std::string WhyFailed(Stream stream) noexcept {
  Queue(stream)->Finish();
  const std::string why = emulation::Failure();
  return why.empty() ? "" : "the GPU: " + why;
}

void DestroyEvent::operator()(void* event) const { delete static_cast<SharedEvent*>(event); }
EventPointer CreateEvent() {
  return EventPointer(new SharedEvent(std::make_shared<emulation::Event>()));
}
void Record(void* event, Stream stream) { Queue(stream)->Record(Shared(event)); }
void WaitInStream(void* event, Stream stream) { Queue(stream)->WaitFor(Shared(event)); }
void WaitOnHost(void* event) {
  ForbidInCapture("cudaEventSynchronize");
  emulation::Reach(*Shared(event));
  CheckWell();
}
// The device works on while somebody asks.
bool IsReached(void* event) {
  const emulation::Event& asked = *Shared(event);
  if (asked.reached < asked.recorded) emulation::DoSomething();
  return asked.reached == asked.recorded;
}

void DestroyGraph::operator()(void* graph) const {
  delete static_cast<std::vector<emulation::Work>*>(graph);
}
void BeginCapture(Stream stream) { Queue(stream)->BeginCapture(); }

GraphPointer EndCapture(Stream stream) {
  return GraphPointer(new std::vector<emulation::Work>(Queue(stream)->EndCapture()));
}

void AbandonCapture(Stream stream) noexcept { Queue(stream)->EndCapture(); }

void Submit(void* graph, Stream stream) {
  for (const auto& work : *static_cast<std::vector<emulation::Work>*>(graph))
    emulation::Submit(stream, work);
}

// The call fails at once, as that of a library does; what it computes is not put off.
void SubmitCall(Stream stream, std::function<void()> call) {
  if (Queue(stream)->capturing()) return emulation::Submit(stream, std::move(call));
  Queue(stream)->Finish();
  call();
}

std::vector<std::string> CublasLtFiles() { return {}; }  // the true one needs a GPU

}  // namespace octavo::cuda
