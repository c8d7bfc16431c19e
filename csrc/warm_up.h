// What a pool is sized by: the largest steps that a plan takes, run once before serving.
#pragma once

#include <cstdint>
#include <vector>

#include "backend.h"

namespace octavo {

// A made-up step: each sequence a prompt, all of whose tokens lie in one block of a cache of
// kBlocks, so that its results mean nothing. It owns what its view points to.
class WarmUpStep {
 public:
  static constexpr int kBlocks = 2;  // the null block, and the one that all tokens share

  // `tokens` rows, over so many sequences as evenly as it goes, each drawing a token if the plan
  // samples.
  WarmUpStep(const Plan& plan, int tokens, int sequences, int block_size);
  WarmUpStep(WarmUpStep&&) = default;

  const StepView& view() const { return view_; }

 private:
  void AddTables(const Plan& plan, int block_size);
  void AddSamples(int samples);

  std::vector<int32_t> ids_, positions_, table_starts_, tables_;
  std::vector<SequenceRow> sequences_;
  std::vector<SampleInts> sample_ints_;
  std::vector<SampleFloats> sample_floats_;
  StepView view_;
};

// A step of as many rows as the plan takes, as one prompt and as many; and one in which as many
// sequences as it takes decode a token.
std::vector<WarmUpStep> LargestSteps(const Plan& plan, int block_size);

// Device blocks, the null block included, that what is free now holds: at most pool.device_blocks,
// and so that the share of the memory that nobody is to use stays free. Throws std::runtime_error
// where there is no room for one.
int BlocksThatFit(const DeviceMemory& memory, const PoolShape& pool, size_t block_bytes);

}  // namespace octavo
