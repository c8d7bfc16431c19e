// What the ops of the CPU backend are made from, and what each file of ops offers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../op_view.h"
#include "machine.h"

namespace octavo::cpu {

struct OpContext : OpView {
  Machine* machine;
  PlanStep* shared;

  std::shared_ptr<const PackedWeight> Weight(const char* key) const {
    return WeightOf(key, op.Int(key));
  }
  std::shared_ptr<const PackedWeight> OptionalWeight(const char* key) const {
    return op.Has(key) ? Weight(key) : nullptr;
  }
  std::vector<std::shared_ptr<const PackedWeight>> Weights(const char* key) const {
    std::vector<std::shared_ptr<const PackedWeight>> weights;
    for (const int id : op.Ints(key)) weights.push_back(WeightOf(key, id));
    return weights;
  }

  // The layout of the codes that a value may lie as, if it may.
  std::optional<CodesLayout> CodesOf(int value) const {
    const auto found = shared->coded.find(value);
    return found == shared->coded.end() ? std::nullopt : std::make_optional(found->second);
  }

  // The number of a cache group that keeps tokens.
  int Group() const {
    const int group = op.Int("group");
    Expect(!CacheOf(group).IsState(), "cache group " + std::to_string(group) + " keeps no tokens");
    return group;
  }
  const CacheGroup& CacheOf(int group) const {
    const auto& groups = machine->cache.groups;
    Expect(group >= 0 && static_cast<size_t>(group) < groups.size(),
           "there is no cache group " + std::to_string(group));
    return groups[static_cast<size_t>(group)];
  }

 private:
  std::shared_ptr<const PackedWeight> WeightOf(const char* key, int id) const {
    return FindWeight(machine->weights, key, id);
  }
};

inline const float* VectorOf(const std::shared_ptr<const PackedWeight>& weight) {
  return weight == nullptr ? nullptr : weight->Vector();
}

std::unique_ptr<CompiledOp> MakeLinear(const OpContext& context);
std::unique_ptr<CompiledOp> MakeAdapt(const OpContext& context);

// The ops that write and read the cache.
std::unique_ptr<CompiledOp> MakeRopeStoreKv(const OpContext& context);
std::unique_ptr<CompiledOp> MakePagedAttention(const OpContext& context);

// Ops of mixtures of experts; null for every other kind.
std::unique_ptr<CompiledOp> CompileExpertOp(const OpContext& context);
std::unique_ptr<CompiledOp> MakeExpertLinear(const OpContext& context);

// Writes the latent rows of a cache, and makes queries for them.
std::unique_ptr<CompiledOp> MakeStoreLatent(const OpContext& context);
std::unique_ptr<CompiledOp> MakeShortConv(const OpContext& context);

}  // namespace octavo::cpu
