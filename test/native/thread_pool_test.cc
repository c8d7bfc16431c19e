// Tests csrc/cpu/thread_pool.h, so that sanitizers can watch. Prints the first check that fails and
// ends with 1.
#include "cpu/thread_pool.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace octavo::cpu {
namespace {

void TestEveryItemRunsOnce(ThreadPool* pool) {
  for (int items = 0; items < 100; ++items) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(items));
    pool->ParallelFor(items, [&](int item, int worker) {
      CHECK(worker >= 0 && worker < pool->threads());
      ++runs[static_cast<size_t>(item)];
    });
    for (const auto& count : runs) CHECK(count == 1);
  }
}

// Whoever throws: the other items run, and the caller learns of it.
void TestWhatABodyThrowsComesToTheCaller(ThreadPool* pool) {
  constexpr int kItems = 64;
  for (int thrower = 0; thrower < kItems; ++thrower) {
    std::atomic<int> ran{0};
    std::string caught;
    try {
      pool->ParallelFor(kItems, [&](int item, int) {
        ++ran;
        if (item == thrower) throw std::runtime_error("item " + std::to_string(item));
      });
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    CHECK(caught == "item " + std::to_string(thrower));
    CHECK(pool->threads() == 1 || ran == kItems);
  }
}

void TestOneFailureOfManyIsThrown(ThreadPool* pool) {
  int failures = 0;
  for (int loop = 0; loop < 10; ++loop) {
    try {
      pool->ParallelFor(16, [](int, int) { throw std::bad_alloc(); });
    } catch (const std::bad_alloc&) {
      ++failures;
    }
  }
  CHECK(failures == 10);
}

// Reads that are told of are fetched in short waits and in such as end in sleep.
void TestReadsAhead(ThreadPool* pool) {
  const std::vector<uint8_t> bytes(1000);
  for (int loop = 0; loop < 100; ++loop) {
    pool->ParallelFor(3 * pool->threads(),
                      [&](int, int worker) { pool->ReadNext(worker, bytes.data(), bytes.size()); });
    std::this_thread::sleep_for(std::chrono::microseconds(loop));
  }
}

}  // namespace
}  // namespace octavo::cpu

int main() {
  for (const int threads : {1, 2, 3}) {
    octavo::cpu::ThreadPool pool(threads);
    octavo::cpu::TestEveryItemRunsOnce(&pool);
    octavo::cpu::TestWhatABodyThrowsComesToTheCaller(&pool);
    octavo::cpu::TestOneFailureOfManyIsThrown(&pool);
    octavo::cpu::TestEveryItemRunsOnce(&pool);
    octavo::cpu::TestReadsAhead(&pool);
  }
  std::printf("the threads share their loops\n");
  return 0;
}
