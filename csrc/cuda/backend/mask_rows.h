// The masks of a step's rows that another thread computes while the step runs: they follow it to
// the device just before `sample`.
#pragma once

#include "../../step.h"
#include "buffer.h"

namespace octavo::cuda {

class MaskRows {
 public:
  static bool Wants(const StepView& step);

  // Makes room. No step may be under way that has masks.
  void Reserve(int rows, int words);
  // Starts the copy of the masks, which are there by now: row r of the step's samples to row r.
  void Send(const StepView& step, Stream stream);
  // [rows, the step's mask words]
  const uint32_t* device() const { return device_.As<const uint32_t>(); }

 private:
  Buffer device_;
  PinnedPointer staging_;
  EventPointer sent_;
};

}  // namespace octavo::cuda
