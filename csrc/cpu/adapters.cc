#include "adapters.h"

#include <algorithm>
#include <utility>

namespace octavo::cpu {
namespace {

using Sources = std::vector<std::vector<TensorView>>;

// Parts that become one stack: of one weight, their first matrices of one type.
struct Stack {
  Weight a;
  std::vector<TensorView> sources;
  std::vector<const AdapterPart*> parts;

  bool Takes(const Weight& weight) const { return a.type == weight.type; }

  void Add(const AdapterPart& part, const Weight& weight, const std::vector<TensorView>& views) {
    if (parts.empty()) {
      a = weight;
    } else {
      a.rows += weight.rows;
      a.sources.insert(a.sources.end(), weight.sources.begin(), weight.sources.end());
    }
    sources.insert(sources.end(), views.begin(), views.end());
    parts.push_back(&part);
  }
};

std::map<int, std::vector<Stack>> StacksOfParts(const Adapter& adapter, const Sources& sources) {
  std::map<int, std::vector<Stack>> stacks;
  for (const AdapterPart& part : adapter.parts) {
    const auto id = static_cast<size_t>(part.a);
    const Weight& a = adapter.weights.at(id);
    std::vector<Stack>& known = stacks[part.weight];
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const Stack& stack) { return stack.Takes(a); });
    (found == known.end() ? known.emplace_back() : *found).Add(part, a, sources.at(id));
  }
  return stacks;
}

}  // namespace

PackedAdapter::PackedAdapter(const Adapter& adapter, const Sources& sources, ThreadPool* pool)
    : memory_(std::make_unique<Slabs>()) {
  std::vector<Packing> packings;
  const auto pack = [&](const Weight& weight, const std::vector<TensorView>& views) {
    packings.emplace_back(weight, views, memory_.get());
    return packings.back().packed();
  };
  for (const auto& [weight, stacks] : StacksOfParts(adapter, sources)) {
    for (const Stack& stack : stacks) {
      PackedStack packed;
      packed.a = pack(stack.a, stack.sources);
      int shrunk_first = 0;
      for (const AdapterPart* part : stack.parts) {
        const auto id = static_cast<size_t>(part->b);
        const PackedWeight b = pack(adapter.weights.at(id), sources.at(id));
        packed.parts.push_back({shrunk_first, part->first, part->scale, b});
        shrunk_first += b.cols;
      }
      stacks_[weight].push_back(std::move(packed));
    }
  }
  PackAll(packings, pool);
}

const std::vector<PackedStack>& PackedAdapter::StacksOf(int weight) const {
  static const std::vector<PackedStack> kNone;
  const auto found = stacks_.find(weight);
  return found == stacks_.end() ? kNone : found->second;
}

int PackedAdapter::LargestStack() const {
  int largest = 0;
  for (const auto& [weight, stacks] : stacks_) {
    for (const PackedStack& stack : stacks) largest = std::max(largest, stack.a.rows);
  }
  return largest;
}

}  // namespace octavo::cpu
