// Draws a token from a row of logits. Keeps no state from step to step.
#pragma once

#include <vector>

#include "../step.h"
#include "kernels.h"

namespace octavo::cpu {

// Sizes the result for the step: every row's tops have their place before rows run in parallel.
void SizeResult(const StepView& step, int vocab, StepResult* result);

// The scratch of one worker.
class Sampler {
 public:
  explicit Sampler(const KernelTable* kernels) : kernels_(kernels) {}

  // Fills row `row` of a result that SizeResult sized.
  void Run(const StepView& step, int row, const float* logits, int vocab, StepResult* result);

 private:
  // Copies the row and applies mask, biases and penalties. False when no token is left.
  bool Process(const StepView& step, const SampleInts& ints, const SampleFloats& floats,
               const float* logits);
  // Makes scaled_ = (logit - largest) / temperature; below every threshold it becomes -infinity.
  void Truncate(const SampleInts& ints, const SampleFloats& floats);
  void KeepMinP(float min_p);
  void KeepTopK(int top_k);
  void KeepTopP(float top_p);
  int Draw(const SampleInts& ints);
  void Report(const SampleInts& ints, int token, const float* values, int row, StepResult* result);

  const KernelTable* kernels_;
  int vocab_ = 0;
  std::vector<float> values_;   // processed logits, then scaled, then truncated
  std::vector<float> weights_;  // e^values
  std::vector<float> selected_;
  std::vector<int32_t> order_;
};

}  // namespace octavo::cpu
