#include "warm_up.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace octavo {
namespace {

bool Has(const Plan& plan, const char* kind) {
  return std::any_of(plan.ops.begin(), plan.ops.end(),
                     [&](const Op& op) { return op.kind == kind; });
}

std::string GiB(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f GiB", bytes / (1 << 30));
  return text;
}

}  // namespace

WarmUpStep::WarmUpStep(const Plan& plan, int tokens, int sequences, int block_size) {
  const int adapter = Has(plan, "adapt") ? 0 : -1;
  ids_.assign(static_cast<size_t>(tokens), 0);
  for (int s = 0; s < sequences; ++s) {
    const int first = static_cast<int>(int64_t{tokens} * s / sequences);
    const int rows = static_cast<int>(int64_t{tokens} * (s + 1) / sequences) - first;
    sequences_.push_back({first, rows, rows, rows, adapter});
    for (int position = 0; position < rows; ++position) positions_.push_back(position);
  }
  AddTables(plan, block_size);
  if (Has(plan, "sample")) AddSamples(std::min(sequences, plan.max_samples));
  view_.tokens = tokens;
  view_.sequences = sequences;
  view_.ids = ids_.data();
  view_.positions = positions_.data();
  view_.sequence_rows = sequences_.data();
}

void WarmUpStep::AddTables(const Plan& plan, int block_size) {
  table_starts_.push_back(0);
  for (const CacheGroup& group : plan.caches) {
    for (const SequenceRow& sequence : sequences_) {
      const int blocks =
          group.IsState() ? 1 : (sequence.context_length + block_size - 1) / block_size;
      tables_.resize(tables_.size() + static_cast<size_t>(blocks), kBlocks - 1);
      table_starts_.push_back(static_cast<int32_t>(tables_.size()));
    }
  }
  view_.groups = static_cast<int>(plan.caches.size());
  view_.table_starts = table_starts_.data();
  view_.tables = tables_.data();
  view_.table_length = static_cast<int>(tables_.size());
}

void WarmUpStep::AddSamples(int samples) {
  SampleInts ints = {};
  ints.logprobs = ints.target = ints.mask = ints.shared_mask = -1;
  for (int r = 0; r < samples; ++r) {
    const SequenceRow& sequence = sequences_[static_cast<size_t>(r)];
    ints.token_row = sequence.first_row + sequence.row_count - 1;
    sample_ints_.push_back(ints);
  }
  sample_floats_.assign(sample_ints_.size(), {1, 1, 0, 0, 0, 1});
  view_.samples = samples;
  view_.sample_ints = sample_ints_.data();
  view_.sample_floats = sample_floats_.data();
}

std::vector<WarmUpStep> LargestSteps(const Plan& plan, int block_size) {
  const int most = std::min(plan.max_tokens, plan.max_sequences);
  std::vector<WarmUpStep> steps;
  steps.emplace_back(plan, plan.max_tokens, 1, block_size);
  if (most > 1) steps.emplace_back(plan, plan.max_tokens, most, block_size);
  const int decoding = std::min(most, plan.max_samples);
  if (decoding < plan.max_tokens) steps.emplace_back(plan, decoding, decoding, block_size);
  return steps;
}

int BlocksThatFit(const DeviceMemory& memory, const PoolShape& pool, size_t block_bytes) {
  if (block_bytes == 0) return pool.device_blocks;
  const double bytes = static_cast<double>(block_bytes), total = memory.total_bytes;
  // The cache of the warm-up is given back first.
  const double free = memory.free_bytes + bytes * WarmUpStep::kBlocks;
  const double room = free - (1 - pool.memory_share) * total;
  if (room < 2 * bytes)
    throw std::runtime_error(
        "out of memory: of the GPU's " + GiB(total) + " the weights and the largest step leave " +
        GiB(std::max(0.0, room)) + " to the key/value cache within gpuMemoryUtilization " +
        std::to_string(pool.memory_share) + "; it needs at least two blocks of " +
        std::to_string(block_bytes) + " bytes");
  return static_cast<int>(std::min(std::floor(room / bytes), double(pool.device_blocks)));
}

}  // namespace octavo
