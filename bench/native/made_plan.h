// Plans of a single kind of op, and steps for them, to time an op exactly as the engine runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend.h"

namespace octavo::bench {

struct Workload {
  int tokens = 1;  // token rows a sequence
  int sequences = 1;
  int context = 1;  // tokens that each sequence has in the end
  int samples = 0;
};

// The packed arrays of a step in which sequence s has the blocks of its own part of the pool.
class MadeStep {
 public:
  MadeStep(const Workload& load, int block_size, const SampleFloats& sampling, int top_k);
  const StepView& view() const { return view_; }
  const std::vector<int32_t>& ints() const { return ints_; }
  const std::vector<float>& floats() const { return floats_; }
  int blocks() const { return blocks_; }

 private:
  std::vector<int32_t> ints_;
  std::vector<float> floats_;
  StepView view_;
  int blocks_ = 1;
};

// The ops of a plan on a backend, with made-up weights.
class MadePlan {
 public:
  // `ops` is the plan's text after its limits. Weights are made up from their element index.
  MadePlan(const std::string& ops, const Workload& load, const BackendOptions& options, int blocks,
           size_t arena_bytes);
  void Run(const StepView& step);
  // The last op alone, on what Run left.
  void RunLast(const StepView& step);

 private:
  Plan plan_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<CompiledOp>> ops_;
};

}  // namespace octavo::bench
