#include "block.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "fiber.h"

namespace octavo::cuda {

thread_local Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr int kLanes = 32;

std::string Text(const Place& place) {
  return std::string(place.what) + " (" + place.file + ":" + std::to_string(place.line) + ")";
}

bool Same(const Place& a, const Place& b) {
  return a.line == b.line && a.what == b.what &&
         (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

enum class State : uint8_t { kReady, kWaiting, kDone };

struct Thread {
  Fiber fiber;
  State state = State::kDone;
  Place place{};  // where it waits
  int index = 0;
  Dim3 dim;
};

struct Warp {
  void* lanes[kLanes] = {};
  uint32_t arrived = 0, mask = 0, epoch = 0;
  Place place{};
};

class Block {
 public:
  void Run(const std::function<void()>& body, size_t shared_bytes);
  void Barrier(const Place& place);
  void MeetWarp(const Place& place, uint32_t mask, void* argument, Combine combine, bool orders);

  SharedMemory memory;
  int current() const { return current_; }
  uint64_t number() const { return number_; }
  Moment Now(bool atomic) const {
    return {epoch_, warps_[current_ / kLanes].epoch, current_, current_ / kLanes, atomic};
  }

 private:
  static void Enter(void* thread);
  void Wait(const Place& place);
  bool RunReadyThreads();
  [[noreturn]] void ReportDeadlock() const;

  const std::function<void()>* body_ = nullptr;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  int count_ = 0, current_ = 0, at_barrier_ = 0, done_ = 0;
  Place barrier_place_{};
  uint32_t epoch_ = 1;  // grows over all blocks, so that the shadow need not be cleared
  uint64_t number_ = 0;
  std::exception_ptr failure_;
};

thread_local Block running;
thread_local std::vector<Launched>* recorded = nullptr;

void Block::Run(const std::function<void()>& body, size_t shared_bytes) {
  body_ = &body;
  count_ = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  ++number_;
  memory.Reset(shared_bytes, ++epoch_);
  warps_.assign(static_cast<size_t>(count_ / kLanes), Warp());
  at_barrier_ = done_ = 0;
  failure_ = nullptr;
  for (int i = 0; i < count_; ++i) {
    if (static_cast<size_t>(i) == threads_.size()) threads_.push_back(std::make_unique<Thread>());
    Thread& thread = *threads_[i];
    thread.index = i;
    thread.state = State::kReady;
    const auto u = static_cast<unsigned>(i);
    thread.dim = Dim3(u % blockDim.x, u / blockDim.x % blockDim.y, u / blockDim.x / blockDim.y);
    thread.fiber.Start(Enter, &thread);
  }
  while (done_ < count_) {
    const bool moved = RunReadyThreads();
    if (failure_) std::rethrow_exception(failure_);
    if (!moved) ReportDeadlock();
  }
}

bool Block::RunReadyThreads() {
  bool moved = false;
  for (int i = 0; i < count_; ++i) {
    Thread& thread = *threads_[i];
    if (thread.state != State::kReady) continue;
    moved = true;
    current_ = i;
    threadIdx = thread.dim;
    thread.fiber.Resume();
    if (failure_) break;  // the other fibers are left where they are
  }
  return moved;
}

void Block::Enter(void* argument) {
  auto* thread = static_cast<Thread*>(argument);
  try {
    (*running.body_)();
  } catch (...) {
    running.failure_ = std::current_exception();
  }
  thread->state = State::kDone;
  ++running.done_;
  thread->fiber.Suspend();
}

void Block::Wait(const Place& place) {
  Thread& self = *threads_[current_];
  self.state = State::kWaiting;
  self.place = place;
  self.fiber.Suspend();
}

void Block::Barrier(const Place& place) {
  if (at_barrier_ > 0 && !Same(barrier_place_, place))
    throw std::runtime_error("thread " + std::to_string(current_) + " comes to " + Text(place) +
                             " while others wait at " + Text(barrier_place_));
  barrier_place_ = place;
  if (++at_barrier_ < count_) return Wait(place);
  at_barrier_ = 0;
  ++epoch_;
  for (int i = 0; i < count_; ++i) threads_[i]->state = State::kReady;
}

void Block::MeetWarp(const Place& place, uint32_t mask, void* argument, Combine combine,
                     bool orders) {
  const int lane = current_ % kLanes, first = current_ - lane;
  Warp& warp = warps_[current_ / kLanes];
  if ((mask >> lane & 1u) == 0)
    throw std::runtime_error(Text(place) + ": thread " + std::to_string(current_) +
                             " is not in its own mask");
  if (warp.arrived != 0 && (warp.mask != mask || !Same(warp.place, place)))
    throw std::runtime_error("thread " + std::to_string(current_) + " comes to " + Text(place) +
                             " while others of its warp wait at " + Text(warp.place));
  warp.mask = mask;
  warp.place = place;
  warp.lanes[lane] = argument;
  warp.arrived |= 1u << lane;
  if (warp.arrived != mask) return Wait(place);
  if (combine != nullptr) combine(warp.lanes, mask);
  if (orders) ++warp.epoch;
  warp.arrived = 0;
  for (int i = 0; i < kLanes; ++i)
    if (mask >> i & 1u) threads_[first + i]->state = State::kReady;
}

// Some wait for others who will not come: they left the kernel, or wait elsewhere.
void Block::ReportDeadlock() const {
  const Thread* waiting = nullptr;
  for (int i = 0; i < count_ && waiting == nullptr; ++i)
    if (threads_[i]->state == State::kWaiting) waiting = threads_[i].get();
  for (int i = 0; i < count_; ++i) {
    const Thread& other = *threads_[i];
    const std::string name = "thread " + std::to_string(waiting->index) + " waits at " +
                             Text(waiting->place) + ", thread " + std::to_string(i);
    if (other.state == State::kDone) throw std::runtime_error(name + " left the kernel");
    if (other.state == State::kReady || Same(other.place, waiting->place)) continue;
    throw std::runtime_error(name + " at " + Text(other.place));
  }
  throw std::runtime_error("a thread waits at " + Text(waiting->place) + ", others go past it");
}

}  // namespace

void RecordLaunches(std::vector<Launched>* launches) { recorded = launches; }

void RunGrid(const char* kernel, Dim3 grid, Dim3 block, size_t shared_bytes,
             const std::function<void()>& body, Mark mark) {
  const unsigned threads = block.x * block.y * block.z;
  const auto name = std::string("kernel ") + kernel;
  if (threads == 0 || threads > 1024 || threads % kLanes != 0)
    throw std::runtime_error(name + ": expected whole warps, at most 1024 threads, found " +
                             std::to_string(threads));
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    throw std::runtime_error(name + ": the grid is empty or too large");
  constexpr size_t kMostShared = 99 << 10;  // of a block on sm_89, which has the least of all
  if (shared_bytes > kMostShared)
    throw std::runtime_error(name + ": " + std::to_string(shared_bytes) +
                             " bytes of shared memory, more than every GPU has");
  if (recorded != nullptr) return recorded->push_back({kernel, grid, block, shared_bytes});
  gridDim = grid;
  blockDim = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = Dim3(x, y, z);
        try {
          running.Run(body, shared_bytes);
        } catch (const std::exception& error) {
          throw std::runtime_error(name + ", block (" + std::to_string(x) + ", " +
                                   std::to_string(y) + ", " + std::to_string(z) +
                                   "): " + error.what());
        }
      }
  if (mark.word != nullptr && *mark.word != mark.value)
    throw std::runtime_error(name + " left no mark");
  const char* faulty = std::getenv("OCTAVO_EMULATED_FAULT");
  if (faulty != nullptr && std::string(kernel) == faulty) throw DeviceFault();
}

void Barrier(const Place& place) { running.Barrier(place); }

void MeetWarp(const Place& place, uint32_t mask, void* argument, Combine combine,
              bool orders_memory) {
  running.MeetWarp(place, mask, argument, combine, orders_memory);
}

SharedMemory& Memory() { return running.memory; }

void Note(size_t offset, size_t bytes, Touch touch) {
  running.memory.Note(offset, bytes, touch, running.Now(touch == Touch::kAtomic));
}

int ThreadOfBlock() { return running.current(); }

uint64_t BlockNumber() { return running.number(); }

}  // namespace emulation
}  // namespace octavo::cuda
