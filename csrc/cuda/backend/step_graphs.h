// Steps in which every sequence decodes one token, as CUDA graphs: one a bucket of batch sizes,
// captured when it is first met, and a second one a bucket for steps in which rows have an adapter.
// Rows beyond the step's are padding.
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "../../step.h"
#include "runtime.h"

namespace octavo::cuda {

class StepGraphs {
 public:
  // The rows that a step is padded to, or 0: it has rows of prompts, or is too large for a graph.
  static int BucketOf(const StepView& step, int max_rows);

  // Submits the graph of the bucket, which has adapters or has none; where there is none such,
  // `launch` is captured first.
  void Run(int bucket, bool adapts, Stream stream, const std::function<void()>& launch);

  // Addresses or kernels have changed.
  void Clear() { graphs_.clear(); }

 private:
  std::map<std::pair<int, bool>, GraphPointer> graphs_;  // by bucket and whether they adapt
};

}  // namespace octavo::cuda
