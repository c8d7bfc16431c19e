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
  // Removes the tokens whose bit in `mask`, of so many words, is 0.
  void Apply(const uint32_t* mask, int words);
  // Copies the row to values_ and applies mask, biases and penalties.
  void Process(const StepView& step, const SampleInts& ints, const SampleFloats& floats,
               const float* logits);
  // Makes values_ (value - largest) / temperature, and -infinity where a limit removes the token.
  void Truncate(const SampleInts& ints, const SampleFloats& floats, float largest);
  void KeepMinP(float min_p);
  void KeepTopK(int top_k);
  void KeepTopP(float top_p);
  int Draw(const SampleInts& ints);
  // weights_ = e^(values - shift); gives their sum.
  double Weigh(const float* values, float shift);
  // The lowest id of the largest value, 0 if there is none.
  int Find(const float* values, float largest) const;
  void Report(const SampleInts& ints, int token, const float* values, int row, StepResult* result);

  const KernelTable* kernels_;
  int vocab_ = 0;
  std::vector<float> values_;   // processed logits, then scaled, then truncated
  std::vector<float> weights_;  // e^values
  std::vector<float> selected_;
  std::vector<int32_t> order_;
};

}  // namespace octavo::cpu
