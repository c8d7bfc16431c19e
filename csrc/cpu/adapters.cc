#include "adapters.h"

#include <utility>

namespace octavo::cpu {

PackedAdapter::PackedAdapter(const Adapter& adapter,
                             const std::vector<std::vector<TensorView>>& sources, ThreadPool* pool)
    : memory_(std::make_unique<Slabs>()) {
  std::vector<Packing> packings;
  for (size_t i = 0; i < adapter.weights.size(); ++i)
    packings.emplace_back(adapter.weights[i], sources.at(i), memory_.get());
  PackAll(packings, pool);
  for (const AdapterPart& part : adapter.parts) {
    const PackedWeight& a = packings.at(static_cast<size_t>(part.a)).packed();
    const PackedWeight& b = packings.at(static_cast<size_t>(part.b)).packed();
    parts_[part.weight].push_back({part.first, part.scale, a, b});
  }
}

const std::vector<PackedPart>& PackedAdapter::PartsOf(int weight) const {
  static const std::vector<PackedPart> kNone;
  const auto found = parts_.find(weight);
  return found == parts_.end() ? kNone : found->second;
}

}  // namespace octavo::cpu
