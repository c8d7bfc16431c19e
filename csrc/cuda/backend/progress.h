// How far the device has come: every few ops of a plan a mark is written to memory of the host, so
// that after a failure, which only says that something went wrong, it is known where.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine.h"
#include "ops.h"

namespace octavo::cuda {

class Progress {
 public:
  Progress();

  // The ops of the plan that is compiled next, in order. Some come back with a mark behind them.
  void BeginPlan();
  std::unique_ptr<DeviceOp> Follow(std::unique_ptr<DeviceOp> op, std::string name, bool last,
                                   Stream stream);

  // After a failure: the ops among which the one that failed is.
  std::string WhereItStopped() const;

 private:
  static constexpr int kEach = 16;  // ops a mark

  std::vector<std::vector<std::string>> plans_;  // names of the ops
  PinnedPointer mark_;                           // plan × 65536 + ops of it that are done
};

}  // namespace octavo::cuda
