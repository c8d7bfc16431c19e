#include "thread_pool.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace octavo::cpu {
namespace {

constexpr uint64_t kUnclaimed = 0xffffffffu;
constexpr auto kSpinTime = std::chrono::microseconds(50);
constexpr int kLinesAtOnce = 4;  // that are fetched between two looks

void Pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ __volatile__("yield");
#endif
}

// Fetches a line into the second-level cache.
void Fetch(const uint8_t* line) {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T1);
#elif defined(__GNUC__)
  __builtin_prefetch(line, 0, 2);
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : tickets_(std::make_unique<Ticket[]>(static_cast<size_t>(std::max(threads, 1)))),
      next_reads_(std::make_unique<Read[]>(static_cast<size_t>(std::max(threads, 1)))) {
  try {
    for (int worker = 1; worker < threads; ++worker)
      workers_.emplace_back([this, worker] { WorkerLoop(worker); });
  } catch (const std::system_error& error) {
    End();
    throw std::runtime_error("threads: expected " + std::to_string(threads) +
                             ", the system gives this process " + std::to_string(this->threads()) +
                             ": " + error.code().message());
  }
}

ThreadPool::~ThreadPool() { End(); }

void ThreadPool::End() {
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
  const uint32_t number = number_.load(std::memory_order_relaxed) + 1;
  for (int worker = 0; worker < threads(); ++worker) {
    const auto run = static_cast<uint32_t>(FirstOf(worker + 1) - FirstOf(worker));
    tickets_[worker].value.store(uint64_t{number} << 32 | run, std::memory_order_release);
  }
  number_.store(number);
  // Sequentially consistent with Sleep(): either the sleeper sees the number or we see the sleeper.
  if (sleepers_.load() > 0) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
    }
    wake_.notify_all();
  }
  RunItems(0);
  const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  while (!SpinUntil(finished, 0)) std::this_thread::yield();
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
}

template <class Done>
bool ThreadPool::SpinUntil(const Done& done, int worker) {
  Read& next = next_reads_[worker];
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      if (next.at < next.end) {
        for (int line = 0; line < kLinesAtOnce; ++line, next.at += kLine) Fetch(next.at);
      } else {
        Pause();
      }
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

void ThreadPool::RunItems(int worker) {
  for (int i = 0; i < threads(); ++i) RunItemsOf((worker + i) % threads(), worker);
}

void ThreadPool::RunItemsOf(int owner, int worker) {
  std::atomic<uint64_t>& claims = tickets_[owner].value;
  uint64_t ticket = claims.load(std::memory_order_acquire);
  while ((ticket & kUnclaimed) != 0) {
    if (!claims.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel)) continue;
    const int item = FirstOf(owner + 1) - static_cast<int>(ticket & kUnclaimed);
    RunItem(item, worker);
    unfinished_.fetch_sub(1, std::memory_order_acq_rel);
    ticket = claims.load(std::memory_order_acquire);
  }
}

void ThreadPool::RunItem(int item, int worker) {
  try {
    loop_.function(loop_.context, item, worker);
  } catch (...) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
}

void ThreadPool::WorkerLoop(int worker) {
  uint32_t seen = 0;
  const auto called = [&] {
    return number_.load(std::memory_order_acquire) != seen || stop_.load(std::memory_order_relaxed);
  };
  while (!stop_) {
    if (!SpinUntil(called, worker)) Sleep(seen);
    seen = number_.load(std::memory_order_acquire);
    RunItems(worker);
  }
}

void ThreadPool::Sleep(uint32_t seen) {
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  wake_.wait(lock, [&] { return stop_.load() || number_.load() != seen; });
  sleepers_.fetch_sub(1);
}

}  // namespace octavo::cpu
