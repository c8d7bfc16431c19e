#include "machine.h"

#include <algorithm>
#include <cmath>

#include "../system.h"

namespace octavo::cpu {
namespace {

// The inverse frequencies of dynamic NTK scaling for a sequence that ends with this position.
void DynamicFrequencies(const Rope& rope, int position, std::vector<float>* frequencies) {
  const double dim = rope.dim;
  const double growth = rope.factor * (position + 1.0) / rope.original - (rope.factor - 1);
  const double base = rope.base * std::pow(growth, dim / (dim - 2));
  for (size_t i = 0; i < frequencies->size(); ++i) {
    (*frequencies)[i] = static_cast<float>(std::pow(base, -2.0 * static_cast<double>(i) / dim));
  }
}

// Of a token at this position of a sequence of that length.
void RowAngles(const Rope& rope, int position, int length, float* cosines, float* sines) {
  const bool is_long = !rope.long_inv_freq.empty() && length > rope.long_from;
  const std::vector<float>* frequencies = is_long ? &rope.long_inv_freq : &rope.inv_freq;
  std::vector<float> grown;
  if (rope.dynamic && position >= rope.original) {
    grown.resize(rope.inv_freq.size());
    DynamicFrequencies(rope, position, &grown);
    frequencies = &grown;
  }
  for (size_t i = 0; i < frequencies->size(); ++i) {
    const double angle = static_cast<float>(position) * (*frequencies)[i];
    cosines[i] = static_cast<float>(std::cos(angle)) * rope.scale;
    sines[i] = static_cast<float>(std::sin(angle)) * rope.scale;
  }
}

}  // namespace

Machine::Machine(const BackendOptions& backend_options)
    : options(backend_options),
      kernels(KernelsFor(backend_options.isa)),
      pool(backend_options.threads > 0 ? backend_options.threads : AvailableCpus()),
      scratch(static_cast<size_t>(pool.threads())),
      samplers(static_cast<size_t>(pool.threads()), Sampler(kernels)) {}

CacheLayer Machine::Layer(int group, int layer) const {
  const CacheGroup& tokens = cache.groups.at(static_cast<size_t>(group));
  CacheLayer view;
  view.block_size = options.block_size;
  view.kv_heads = tokens.kv_heads;
  view.key_dim = tokens.key_dim;
  view.value_dim = tokens.value_dim;
  view.type = tokens.type;
  view.latent = tokens.latent;
  view.block_bytes = cache.block_bytes;
  view.data = cache.memory.data() + tokens.BlockBytes(options.block_size) / tokens.layers * layer;
  return view;
}

void PlanStep::Begin(const StepView& step, ThreadPool* pool) {
  sequence_of_row.assign(static_cast<size_t>(step.tokens), 0);
  for (int s = 0; s < step.sequences; ++s) {
    const SequenceRow& sequence = step.sequence_rows[s];
    std::fill_n(sequence_of_row.begin() + sequence.first_row, sequence.row_count, s);
  }
  const auto adapter_of = [&](int row) {
    return step.sequence_rows[sequence_of_row[static_cast<size_t>(row)]].adapter;
  };
  adapted_tokens = AdapterRuns(step.tokens, adapter_of);
  adapted_samples = AdapterRuns(
      step.samples, [&](int row) { return adapter_of(step.sample_ints[row].token_row); });
  for (size_t r = 0; r < ropes.size(); ++r) {
    const size_t half = ropes[r].inv_freq.size();
    angles[r].cosines.resize(half * step.tokens);
    angles[r].sines.resize(half * step.tokens);
    constexpr int kRowsPerItem = 16;
    pool->ParallelFor((step.tokens + kRowsPerItem - 1) / kRowsPerItem, [&](int item, int) {
      const int last = std::min(step.tokens, (item + 1) * kRowsPerItem);
      for (int row = item * kRowsPerItem; row < last; ++row) {
        const SequenceRow& sequence = step.sequence_rows[sequence_of_row[row]];
        RowAngles(ropes[r], step.positions[row], sequence.length, &angles[r].cosines[row * half],
                  &angles[r].sines[row * half]);
      }
    });
  }
  for (auto& [key, schedule] : schedules) {
    const auto [group, window] = key;
    schedule.Build(step, std::max(1, kMaxQueries / group), window, kv_heads, pool->threads());
  }
}

}  // namespace octavo::cpu
