// What a step draws, on the device and on its way to the host.
#pragma once

#include "../../step.h"
#include "../kernels/launchers.h"
#include "buffer.h"

namespace octavo::cuda {

class Results {
 public:
  // Makes room for so many rows and so many most likely tokens. Returns whether addresses changed.
  bool Reserve(int samples, int tops);
  // Where `sample` writes.
  void Fill(SampleArgs* args) const;
  // What the last step drew; it stays until the next one draws.
  const int32_t* ids() const { return ids_.As<int32_t>(); }
  // Starts the copy to the host.
  void Send(int samples, int tops, Stream stream);
  // The copy is done: gives it to the result, which `top_starts` belongs to.
  void Take(int samples, const std::vector<int32_t>& top_starts, StepResult* result) const;

 private:
  int samples_ = 0, tops_ = 0;
  Buffer ids_, rows_, tops_memory_;  // ids; ranks and logprobs; the most likely ids and logprobs
  PinnedPointer host_;               // all of them, one behind the other
};

}  // namespace octavo::cuda
