// Brings a step to the device in one copy: a DeviceStep and, behind it, everything it points to. It
// always lies at the same address, so that a captured graph finds every step there.
#pragma once

#include <vector>

#include "../kernels/step.h"
#include "runtime.h"

namespace octavo::cuda {

class StepUpload {
 public:
  // How rows are grouped for attention. `rows` of a tile; 0: no tiles are wanted, every row is on
  // its own. `by_spans`: the contexts of a tile's rows have spans of one size.
  struct Tiling {
    int rows = 0;
    bool by_spans = false;
  };
  // Starts the copy. Returns whether the step's address changed.
  bool Send(const StepView& step, const Tiling& tiling, int vocab, Stream stream);

  const DeviceStep* device() const { return static_cast<const DeviceStep*>(device_.get()); }
  // What Send found out: rows that are sequences on their own, tiles of the others, and runs of
  // rows with an adapter.
  const DeviceStep& host() const { return header_; }
  const std::vector<int32_t>& top_starts() const { return top_starts_; }
  int longest_context() const { return longest_; }

 private:
  void CutTiles(const StepView& step, const Tiling& tiling);
  void FindRows(const StepView& step);
  void FindAdapted(const StepView& step);
  void Fill(const StepView& step, uint8_t* staging, uint8_t* device);

  DeviceStep header_{};
  std::vector<AttentionTile> tiles_, decodes_;
  std::vector<int32_t> sequence_of_row_, top_starts_;
  std::vector<AdapterRun> adapted_tokens_, adapted_samples_;
  int longest_ = 0;

  size_t used_ = 0, capacity_ = 0;  // bytes
  DevicePointer device_;
  PinnedPointer staging_;
  EventPointer sent_;
};

}  // namespace octavo::cuda
