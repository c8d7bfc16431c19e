#include "machine.h"

#include <algorithm>
#include <cstdlib>

namespace octavo::cuda {

Machine::Machine(const BackendOptions& backend_options)
    : options(backend_options),
      checks_ops(std::getenv("OCTAVO_CUDA_CHECK") != nullptr),
      info(QueryDevice()),
      stream(CreateStream()),
      cublas(options.batch_invariant ? nullptr : CublasLt::Open()),
      adapters(options.adapter_slots, options.adapter_rank) {}

CacheView Machine::Layer(int group, int layer) const {
  const CacheGroup& kept = cache.groups.at(static_cast<size_t>(group));
  CacheView view;
  view.data = cache.Block(0, 0) + kept.BlockBytes(options.block_size) / kept.layers * layer;
  view.block_bytes = cache.block_bytes;
  view.type = kept.type;
  view.group = group;
  view.block_size = options.block_size;
  view.kv_heads = kept.kv_heads;
  view.key_dim = kept.key_dim;
  view.value_dim = kept.value_dim;
  view.latent = kept.latent;
  return view;
}

int Machine::RowsOf(const Value& value) const {
  switch (value.rows) {
    case Rows::kTokens: return rows.tokens;
    case Rows::kSequences: return rows.sequences;
    case Rows::kSamples: return rows.samples;
  }
  return 0;
}

int Machine::Splits(int decodes, int row_blocks, int longest) const {
  constexpr int kMost = 32, kLeastTokens = 128, kBlocksEach = 4;
  if (decodes == 0) return 1;
  const int wanted = kBlocksEach * info.multiprocessors / (decodes * row_blocks);
  const int useful = longest == 0 ? kMost : (longest + kLeastTokens - 1) / kLeastTokens;
  return std::clamp(wanted, 1, std::min(kMost, useful));
}

}  // namespace octavo::cuda
