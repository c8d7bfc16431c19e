// Worker threads that share the items of one loop at a time. The thread that calls ParallelFor
// works too. Each begins with a run of neighbouring items, from the first on, so that it reads on
// in memory and may ask ahead for the next item's, and then helps others with theirs. Items are
// claimed one by one: a preempted core delays no more than the item that it holds.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace octavo::cpu {

class ThreadPool {
 public:
  // `threads` counts the caller; at least 1. Throws std::runtime_error if the system gives fewer.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(item, worker) once for each item in [0, items), on any threads in any order, and
  // returns when all have returned. `worker` is in [0, threads()). What a body throws is thrown
  // here when all are done, of several the one that came first.
  template <class Body>
  void ParallelFor(int items, const Body& body) {
    if (items <= 0) return;
    if (items == 1 || workers_.empty()) {
      for (int item = 0; item < items; ++item) body(item, 0);
      return;
    }
    Share(items, &body, [](const void* context, int item, int worker) {
      (*static_cast<const Body*>(context))(item, worker);
    });
  }

  // What a worker reads next: while it waits for the others it fetches so much into its caches. The
  // worker itself says so, within an item.
  void ReadNext(int worker, const uint8_t* begin, size_t bytes) {
    next_reads_[worker] = {begin, begin + bytes};
  }

 private:
  using Function = void (*)(const void* context, int item, int worker);

  // Stops the workers there are.
  void End();
  void Share(int items, const void* context, Function function);
  void WorkerLoop(int worker);
  void RunItem(int item, int worker);
  // Claims and runs items, of the worker's own run first, until none is left unclaimed.
  void RunItems(int worker);
  void RunItemsOf(int owner, int worker);
  // The first item of a worker's run.
  int FirstOf(int worker) const {
    return static_cast<int>(int64_t{loop_.items} * worker / threads());
  }
  void Sleep(uint32_t seen);
  // Waits until done() or for kSpinTime, and fetches what the worker reads next; true when done.
  template <class Done>
  bool SpinUntil(const Done& done, int worker);

  // What threads wait for, what they write and what they only read lie in lines of the cache apart:
  // a write takes a line away from all who read it.
  static constexpr size_t kLine = 64;

  // How many items of a worker's run are unclaimed (low 32 bits) and the loop's number (high 32
  // bits). Whoever lowers it owns an item; while one is owned the loop does not change.
  struct alignas(kLine) Ticket {
    std::atomic<uint64_t> value{0};
  };
  std::unique_ptr<Ticket[]> tickets_;  // [threads()]
  // What is still to be fetched of a worker's next read: its own business.
  struct alignas(kLine) Read {
    const uint8_t *at = nullptr, *end = nullptr;
  };
  std::unique_ptr<Read[]> next_reads_;  // [threads()]
  // The number of the newest loop whose tickets are all out.
  alignas(kLine) std::atomic<uint32_t> number_{0};
  alignas(kLine) std::atomic<int> unfinished_{0};
  alignas(kLine) std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  struct {
    int items = 0;
    const void* context = nullptr;
    Function function = nullptr;
  } loop_;

  std::mutex mutex_;
  std::exception_ptr failure_;  // of the loop; under mutex_ until it is finished
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace octavo::cpu
