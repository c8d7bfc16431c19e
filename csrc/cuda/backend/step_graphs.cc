#include "step_graphs.h"

namespace octavo::cuda {

int StepGraphs::BucketOf(const StepView& step, int max_rows) {
  constexpr int kMost = 256;
  const int rows = step.tokens;
  if (rows != step.sequences || rows != step.samples) return 0;
  int bucket = 1;
  while (bucket < rows) bucket += bucket < 8 ? bucket : 8;  // 1, 2, 4, 8, 16, 24, …
  return bucket > kMost || bucket > max_rows ? 0 : bucket;
}

void StepGraphs::Run(int bucket, bool adapts, Stream stream, const std::function<void()>& launch) {
  GraphPointer& graph = graphs_[{bucket, adapts}];
  if (graph == nullptr) {
    BeginCapture(stream);
    try {
      launch();
    } catch (...) {
      AbandonCapture(stream);
      throw;
    }
    graph = EndCapture(stream);
  }
  Submit(graph.get(), stream);
}

}  // namespace octavo::cuda
