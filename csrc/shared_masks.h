// Masks of tokens that another thread writes while a step is computed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "step.h"

namespace octavo {

// Memory that threads share, as lib/structured/mask-memory.ts describes it:
//   ready [rows], masks [rows × words]
// Row r is ready for the step whose ticket is in ready[r]. Its owner outlives the engine thread.
class SharedMasks {
 public:
  SharedMasks() = default;
  SharedMasks(const int32_t* memory, int rows, int words)
      : memory_(memory), rows_(rows), words_(words) {}

  int rows() const { return rows_; }
  int words() const { return words_; }
  const uint32_t* masks() const { return reinterpret_cast<const uint32_t*>(memory_ + rows_); }

  // Waits for the masks that a step names. They are nearly always there already: a step computes
  // for longer than its masks take. `check` is called meanwhile, and may throw.
  template <typename Check>
  void Await(const StepView& step, const Check& check) const {
    for (int r = 0; r < step.samples; ++r) {
      const int row = step.sample_ints[r].shared_mask;
      while (row >= 0 && !Ready(row, step.mask_ticket)) {
        check();
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
    }
  }

 private:
  bool Ready(int row, int ticket) const {
    static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t), "shared as plain integers");
    const auto* ready = reinterpret_cast<const std::atomic<int32_t>*>(memory_);
    return ready[row].load(std::memory_order_acquire) == ticket;
  }

  const int32_t* memory_ = nullptr;
  int rows_ = 0, words_ = 0;
};

}  // namespace octavo
