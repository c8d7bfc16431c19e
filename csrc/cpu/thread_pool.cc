#include "thread_pool.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace octavo::cpu {
namespace {

constexpr uint64_t kUnclaimed = 0xffffffffu;
constexpr auto kSpinTime = std::chrono::microseconds(50);

void Pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ __volatile__("yield");
#endif
}

// Spins until done() or for kSpinTime; true when done.
template <class Done>
bool SpinUntil(const Done& done) {
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      Pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int worker = 1; worker < std::max(threads, 1); ++worker) {
    workers_.emplace_back([this, worker] { WorkerLoop(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Share(int items, const void* context, Function function) {
  loop_.items = items;
  loop_.context = context;
  loop_.function = function;
  unfinished_.store(items, std::memory_order_relaxed);
  const uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(number << 32 | static_cast<uint32_t>(items));
  // Sequentially consistent with Sleep(): either the sleeper sees the ticket or we see the sleeper.
  if (sleepers_.load() > 0) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_.notify_all();
  }
  RunItems(0);
  const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  while (!SpinUntil(finished)) std::this_thread::yield();
}

void ThreadPool::RunItems(int worker) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while ((ticket & kUnclaimed) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    loop_.function(loop_.context, loop_.items - static_cast<int>(ticket & kUnclaimed), worker);
    unfinished_.fetch_sub(1, std::memory_order_acq_rel);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void ThreadPool::WorkerLoop(int worker) {
  const auto called = [this] {
    return (ticket_.load(std::memory_order_acquire) & kUnclaimed) != 0 ||
           stop_.load(std::memory_order_relaxed);
  };
  while (!stop_) {
    if (!SpinUntil(called)) Sleep();
    RunItems(worker);
  }
}

void ThreadPool::Sleep() {
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, [this] { return stop_.load() || (ticket_.load() & kUnclaimed) != 0; });
  sleepers_.fetch_sub(1);
}

}  // namespace octavo::cpu
